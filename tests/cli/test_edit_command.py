"""``suspend``, ``resume``, ``rerun``, ``delete``: they edit the manifest."""

from __future__ import annotations

from datetime import datetime

import pytest
import yaml

from tests.cli.samples import sidecar, trainjob, write

RERUN = "reconciler.trainer.kubeflow.org/rerun"


@pytest.fixture
def job(specs):
    return write(specs / "deep" / "job.yaml", trainjob())


def test_suspend_and_resume(cli, job):
    done = cli("suspend", "demo")
    assert (done.exit_code, done.stdout) == (0, "demo: suspended (specs/deep/job.yaml)\n")
    assert yaml.safe_load(job.read_text())["spec"]["suspend"] is True

    assert cli("suspend", "demo").stdout == "demo: was suspended already (specs/deep/job.yaml)\n"

    assert cli("resume", "demo").stdout == "demo: resumed (specs/deep/job.yaml)\n"
    assert yaml.safe_load(job.read_text())["spec"]["suspend"] is False


def test_every_rerun_sets_another_token(cli, job):
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


def test_delete_all_jobs_of_one_file(cli, specs):
    path = write(specs / "jobs.yaml", trainjob("one"), trainjob("two"), trainjob("three"))

    assert cli("delete", "one", "three", "two").exit_code == 0

    assert not path.exists()


@pytest.mark.parametrize("command", ["suspend", "resume", "rerun", "delete"])
def test_a_missing_job_leaves_all_unchanged(cli, job, command):
    before = job.read_text()

    done = cli(command, "demo", "other")

    assert done.exit_code == 1
    assert "There is no job other" in done.stderr
    assert "There are: demo." in done.stderr
    assert job.read_text() == before


def test_job_of_another_namespace(cli, specs):
    path = write(specs / "job.yaml", trainjob("demo", namespace="team-a"))

    assert cli("suspend", "demo", "-n", "other").exit_code == 1
    assert cli("suspend", "team-a/demo").exit_code == 0
    assert yaml.safe_load(path.read_text())["spec"]["suspend"] is True


def test_ambiguous_name_is_refused(cli, specs):
    write(specs / "a.yaml", trainjob("demo", namespace="a"), trainjob("demo", namespace="b"))

    done = cli("delete", "demo")

    assert done.exit_code == 1
    assert "a/demo, b/demo" in done.stderr


def test_delete_an_invalid_job(cli, specs):
    path = write(specs / "job.yaml", trainjob(trainer={"numNodes": -1}))

    assert cli("delete", "demo").exit_code == 0
    assert not path.exists()


@pytest.mark.parametrize("command", ["suspend", "resume", "rerun", "delete"])
@pytest.mark.parametrize("apart", [False, True])
def test_job_whose_manifest_does_not_parse(cli, specs, tmp_path, command, apart):
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


def test_job_whose_manifest_is_gone(cli, specs):
    write(specs / "job.status.yaml", sidecar(phase="Running"))

    done = cli("suspend", "demo")

    assert done.exit_code == 1
    assert "gone already" in done.stderr
