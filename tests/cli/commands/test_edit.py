"""``suspend``, ``resume``, ``rerun``, ``delete``: the manifest is what changes."""

from __future__ import annotations

from datetime import datetime

import pytest
import yaml

from tests.cli.samples import sidecar, trainjob, write

RERUN = "reconciler.trainer.kubeflow.org/rerun"


@pytest.fixture
def job(specs):
    return write(specs / "deep" / "job.yaml", trainjob())


def test_suspend_and_resume_change_the_manifest_and_say_where(cli, job):
    done = cli("suspend", "demo")
    assert (done.exit_code, done.stdout) == (0, "demo: suspended (specs/deep/job.yaml)\n")
    assert yaml.safe_load(job.read_text())["spec"]["suspend"] is True

    assert cli("suspend", "demo").stdout == "demo: was suspended already (specs/deep/job.yaml)\n"

    assert cli("resume", "demo").stdout == "demo: resumed (specs/deep/job.yaml)\n"
    assert yaml.safe_load(job.read_text())["spec"]["suspend"] is False


def test_every_rerun_leaves_a_token_of_its_own(cli, job):
    tokens = []
    for _ in range(2):
        assert cli("rerun", "demo").exit_code == 0
        tokens.append(yaml.safe_load(job.read_text())["metadata"]["annotations"][RERUN])

    assert tokens[0] != tokens[1]
    assert all(datetime.fromisoformat(token).tzinfo for token in tokens)


def test_delete_removes_the_file_or_only_the_document(cli, specs, job):
    both = write(specs / "both.yaml", trainjob("one"), trainjob("two"))

    assert cli("delete", "demo", "one").exit_code == 0

    assert not job.exists()
    assert [d["metadata"]["name"] for d in yaml.safe_load_all(both.read_text())] == ["two"]


def test_several_of_one_file_go_one_after_the_other(cli, specs):
    path = write(specs / "jobs.yaml", trainjob("one"), trainjob("two"), trainjob("three"))

    assert cli("delete", "one", "three", "two").exit_code == 0

    assert not path.exists()


@pytest.mark.parametrize("command", ["suspend", "resume", "rerun", "delete"])
def test_a_job_that_is_not_there_changes_nothing(cli, job, command):
    before = job.read_text()

    done = cli(command, "demo", "other")

    assert done.exit_code == 1
    assert "There is no job other" in done.stderr
    assert "There are: demo." in done.stderr
    assert job.read_text() == before


def test_a_job_of_another_namespace_is_found_by_its_name(cli, specs):
    path = write(specs / "job.yaml", trainjob("demo", namespace="team-a"))

    assert cli("suspend", "demo", "-n", "other").exit_code == 1
    assert cli("suspend", "team-a/demo").exit_code == 0
    assert yaml.safe_load(path.read_text())["spec"]["suspend"] is True


def test_a_name_in_several_namespaces_must_be_told_apart(cli, specs):
    write(specs / "a.yaml", trainjob("demo", namespace="a"), trainjob("demo", namespace="b"))

    done = cli("delete", "demo")

    assert done.exit_code == 1
    assert "a/demo, b/demo" in done.stderr


def test_an_invalid_job_can_be_deleted(cli, specs):
    path = write(specs / "job.yaml", trainjob(trainer={"numNodes": -1}))

    assert cli("delete", "demo").exit_code == 0
    assert not path.exists()


@pytest.mark.parametrize("command", ["suspend", "resume", "rerun", "delete"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_job_whose_manifest_does_not_parse_is_not_said_to_be_gone(cli, specs, tmp_path, command, apart):
    path = specs / "deep" / "job.yml"
    path.parent.mkdir(parents=True)
    path.write_text("spec: [oops\n")
    status = tmp_path / "status" if apart else specs
    write(status / "deep" / "job.status.yaml", sidecar(phase="Running"))

    done = cli(command, "demo", *(["--status-dir", str(status)] if apart else []))

    assert done.exit_code == 1
    assert "specs/deep/job.yml:2: not valid YAML" in done.stderr
    assert "Correct the file first" in done.stderr
    assert path.read_text() == "spec: [oops\n"


def test_a_job_whose_manifest_is_gone_cannot_be_edited(cli, specs):
    write(specs / "job.status.yaml", sidecar(phase="Running"))

    done = cli("suspend", "demo")

    assert done.exit_code == 1
    assert "gone already" in done.stderr
