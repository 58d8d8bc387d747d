"""`reconciler run --git`: a daemon follows a real repository, through good commits and bad ones."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import pytest

from reconciler import names
from tests.deploy.git_fixtures import Follow, _engines, follow, repository
from tests.support.flags import Flags
from tests.support.manifests import condition, shell
from tests.support.repositories import Followed, Repository
from tests.support.workspaces import eventually, unique

__all__ = ["_engines", "follow", "repository"]

pytestmark = pytest.mark.engine


def started(repository: Repository, workspace: Followed, *jobs: str) -> tuple[Flags, str]:
    """Commit a runtime and jobs that run until told otherwise; the flags, and the commit."""
    flags = Flags(workspace)
    repository.put("specs/rt.yaml", flags.runtime())
    for job in jobs:
        repository.put(f"specs/{job}.yaml", shell(job, "rt", flags.note(job) + flags.wait()))
    return flags, repository.commit()


def source_condition(workspace: Followed, job: str) -> tuple[str, str]:
    found = condition(workspace.status(job), "SourceReady")
    return str(found.get("status")), str(found.get("reason"))


def until_source(workspace: Followed, job: str, status: str, reason: str) -> None:
    try:
        eventually(lambda: source_condition(workspace, job) == (status, reason), f"{status} {reason}")
    except AssertionError as error:
        raise AssertionError(f"{error}; its status: {workspace.source().get('message')}") from None


@pytest.mark.one_engine
@pytest.mark.parametrize("engine", ["podman", "docker", "process"])
def test_a_repository_is_followed(repository: Repository, follow: Follow, engine: str) -> None:
    workspace = follow(repository.url, engine=engine)
    kept, added = unique("kept"), unique("added")
    flags, first = started(repository, workspace, kept)

    with workspace.daemon():
        flags.until_noted(1, to="notes")
        before = workspace.until_phase(kept, "Running")
        assert before["source"] == {
            "revision": first,
            "path": f"specs/{kept}.yaml",
            "repository": repository.url,
            "ref": "refs/heads/main",
        }
        until_source(workspace, kept, "True", "Succeeded")

        repository.put(f"specs/{added}.yaml", shell(added, "rt", flags.note(added) + flags.wait()))
        second = repository.commit()
        workspace.until_phase(added, "Running")
        eventually(lambda: workspace.revision(kept) == second, "the new revision in the old job's status")
        after = workspace.status(kept)
        assert after["nodes"][0]["containerID"] == before["nodes"][0]["containerID"]
        assert (after["attempt"], after["restarts"]) == (0, 0)
        if engine != "process":
            _has_label(workspace, kept, first)
            _has_label(workspace, added, second)

        repository.remove(f"specs/{kept}.yaml")
        repository.commit()
        eventually(lambda: not workspace.status(kept), "the removed job's status gone")
        if engine != "process":
            eventually(lambda: not workspace.containers(kept), "the removed job's containers gone")
        flags.raise_flag()
        workspace.until_phase(added, "Complete")

    assert list((workspace.place / "worktrees").rglob("*.status.yaml")) == []
    assert flags.notes() == [kept, added]


def _has_label(workspace: Followed, job: str, revision: str) -> None:
    (container,) = workspace.containers(job)
    assert container["Config"]["Labels"][names.LABEL_REVISION] == revision
    with workspace.api() as client:
        (network,) = client.networks.list(names=[f"{job}-net"])
        assert network.attrs["Labels"][names.LABEL_REVISION] == revision


def test_bad_commits_leave_the_last_good_revision_in_force(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url, REF="main")
    job = unique("steady")
    _, good = started(repository, workspace, job)

    with workspace.daemon() as daemon:
        workspace.until_phase(job, "Running")
        container = workspace.status(job)["nodes"][0]["containerID"]

        repository.put("specs/bad.yaml", "spec: [")
        bad = repository.commit()
        until_source(workspace, job, "False", "InvalidManifests")
        message = condition(workspace.status(job), "SourceReady")["message"]
        assert "specs/bad.yaml:2: not valid YAML" in message
        assert workspace.revision(job) == good
        assert workspace.source()["attemptedRevision"] == bad

        repository.push("other")
        repository.git("update-ref", "-d", "refs/heads/main", at=repository.bare)
        until_source(workspace, job, "False", "RefNotFound")

        repository.bare.rename(repository.folder / "away")
        until_source(workspace, job, "False", "RepositoryNotFound")
        (repository.folder / "away").rename(repository.bare)

        repository.git("checkout", "--quiet", "--orphan", "rewritten")
        repository.remove("specs")
        repository.put("README", "all manifests gone")
        repository.commit("emptied")
        until_source(workspace, job, "False", "PathNotFound")
        assert workspace.phase(job) == "Running"

        repository.git("checkout", "--quiet", good, "--", "specs")
        repository.put(
            "specs/note.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}}
        )
        rewritten = repository.commit("rewritten history")
        until_source(workspace, job, "True", "Succeeded")
        status = workspace.status(job)
        assert (workspace.revision(job), status["phase"]) == (rewritten, "Running")
        assert status["nodes"][0]["containerID"] == container
        assert status["restarts"] == 0

        listed = workspace.cli("get", "source")
        assert (listed.returncode, "True" in listed.stdout, rewritten[:12] in listed.stdout) == (
            0,
            True,
            True,
        )
        said = daemon.text()
        assert said.count("InvalidManifests") == 1, "a lasting fault is told once"


def test_an_emptied_folder_removes_jobs_only_where_that_is_confirmed(
    repository: Repository, follow: Follow
) -> None:
    workspace = follow(repository.url)
    job = unique("last")
    started(repository, workspace, job)
    with workspace.daemon():
        workspace.until_phase(job, "Running")
        repository.remove("specs")
        repository.put("specs/README.md", "no manifests any more")
        emptied = repository.commit()
        until_source(workspace, job, "False", "EmptyFolder")
        assert "--allow-empty" in condition(workspace.status(job), "SourceReady")["message"]

    with workspace.daemon() as daemon:
        # It says so once it looks; before that, a signal might meet nobody who expects it.
        eventually(lambda: "EmptyFolder" in daemon.text(), "the daemon has looked")
        configuration = workspace.root / "reconciler.yaml"
        configuration.write_text(configuration.read_text() + "allow-empty: true\n")
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: not workspace.status(job), "the job is gone")
        eventually(lambda: workspace.source()["revision"] == emptied, "the emptied revision in force")


def test_an_emptied_folder_is_believed_where_its_jobs_are_deleted_by_name(
    repository: Repository, follow: Follow
) -> None:
    workspace = follow(repository.url)
    job = unique("named")
    started(repository, workspace, job)
    with workspace.daemon():
        workspace.until_phase(job, "Running")
        refused = workspace.cli("delete", job)
        repository.remove("specs")
        repository.put("specs/README.md", "no manifests any more")
        emptied = repository.commit()
        until_source(workspace, job, "False", "EmptyFolder")

        asked = workspace.cli("delete", job)

        eventually(lambda: not workspace.status(job), "the job is gone")
        eventually(lambda: workspace.source()["revision"] == emptied, "the emptied revision in force")

    assert refused.returncode == 1
    assert "Commit its removal" in refused.stderr
    assert asked.returncode == 0, asked.stderr


def test_a_signal_looks_at_once(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url, INTERVAL="1h")
    first, second = unique("first"), unique("second")
    started(repository, workspace, first)
    with workspace.daemon() as daemon:
        workspace.until_phase(first, "Running")
        repository.put(f"specs/{second}.yaml", shell(second, "rt", "true"))
        repository.commit()

        daemon.process.send_signal(signal.SIGUSR1)

        workspace.until_phase(second, "Complete")


def test_a_restart_goes_on_without_the_remote(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url)
    job = unique("offline")
    flags, good = started(repository, workspace, job)
    with workspace.daemon() as daemon:
        workspace.until_phase(job, "Running")
        daemon.kill()
    repository.bare.rename(repository.folder / "away")

    with workspace.daemon():
        until_source(workspace, job, "False", "RepositoryNotFound")
        flags.raise_flag()
        workspace.until_phase(job, "Complete")

    assert flags.notes() == [job]
    assert workspace.revision(job) == good


def test_a_second_daemon_with_another_state_folder_is_refused(repository: Repository, follow: Follow) -> None:
    first, second = follow(repository.url), follow(repository.url)
    # As both derive it from the URL; what a test makes carries a name of its own.
    second.instance = first.instance
    job = unique("once")
    flags, _ = started(repository, first, job)

    with first.daemon() as daemon:
        first.until_phase(job, "Running")
        refused = second.cli("run")
        flags.raise_flag()
        first.until_phase(job, "Complete")

    assert refused.returncode == 1, refused.stderr
    assert f"pid {daemon.process.pid}, " in refused.stderr
    assert "with another state folder" in refused.stderr
    assert flags.notes() == [job]


def test_one_look_is_enough_for_scripts(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url)
    job = unique("script")
    flags = Flags(workspace)
    repository.put("specs/rt.yaml", flags.runtime())
    repository.put("specs/j.yaml", shell(job, "rt", "echo from the repository"))
    commit = repository.commit()

    unknown = workspace.cli("get", "jobs")
    waited = workspace.cli("run", "--wait")
    missing = workspace.cli("run", "--once", "--ref", "nowhere", "--instance", "another")

    assert (unknown.returncode, "checked out yet" in unknown.stderr) == (1, True)
    assert (waited.returncode, workspace.revision(job)) == (0, commit), waited.stderr
    assert (missing.returncode, "no branch and no tag nowhere" in missing.stderr) == (1, True)


def test_commands_find_what_the_daemon_follows(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url)
    job = unique("seen")
    started(repository, workspace, job)
    repository.put("specs/team/other.yaml", shell(f"{job}-b", "rt", "echo hello"))
    commit = repository.commit()
    with workspace.daemon():
        eventually(workspace.source, "the daemon has looked")
        waited = workspace.cli("wait", f"{job}-b", "--timeout", "60")
        assert waited.returncode == 0, waited.stderr
        workspace.until_phase(job, "Running")
        described = workspace.cli("describe", job).stdout
        assert commit in described
        assert repository.url in described
        assert "SourceReady" in described
        assert workspace.cli("logs", f"{job}-b").stdout.strip().endswith("hello")
        found = json.loads(workspace.cli("get", "jobs", job, "-o", "json").stdout)
        assert found["status"]["source"]["revision"] == commit
        as_data = json.loads(workspace.cli("get", "source", "-o", "json").stdout)
        assert as_data["status"]["revision"] == commit

        for command in ("suspend", "delete"):
            refused = workspace.cli(command, job)
            assert refused.returncode == 1
            assert "comes from the repository" in refused.stderr
            assert f"specs/{job}.yaml" in refused.stderr
        assert workspace.phase(job) == "Running"

        assert workspace.cli("validate").returncode == 0
        repository.put("specs/bad.yaml", "kind: TrainJob\n")
        repository.commit()
        bad = workspace.cli("validate", "-o", "json")
        assert bad.returncode == 1
        assert json.loads(bad.stdout)["errors"][0]["file"] == "specs/bad.yaml"


def test_a_folder_that_git_sync_swaps_is_followed_as_well(repository: Repository, follow: Follow) -> None:
    """Plain ``--specs`` on a link that somebody else switches from commit to commit."""
    workspace = follow(repository.url)
    kept, gone = unique("kept"), unique("gone")
    flags, first = started(repository, workspace, kept, gone)
    link = workspace.root / "link"

    def swap(commit: str) -> None:
        folder = workspace.root / "revisions" / commit
        repository.git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        new = workspace.root / "new-link"
        new.symlink_to(folder)
        new.rename(link)

    swap(first)
    workspace.settings = {"SPECS_": ""}
    statuses = workspace.root / "statuses"
    places = ("--specs", str(link / "specs"), "--status-dir", str(statuses))

    def has_status(job: str) -> bool:
        return (statuses / f"{job}.status.yaml").exists()

    with workspace.daemon(*places):
        flags.until_noted(2)
        repository.remove(f"specs/{gone}.yaml")
        repository.put("specs/new.yaml", shell("new", "rt", flags.note("new")))
        swap(repository.commit())
        eventually(lambda: "new" in flags.notes(), "the new job ran")
        eventually(lambda: not has_status(gone), "the removed job is gone")
        flags.raise_flag()
        eventually(lambda: "phase: Complete" in _text(statuses / f"{kept}.status.yaml"), "it completes")

    assert flags.notes().count(kept) == 1
    assert list((workspace.root / "revisions").rglob("*.status.yaml")) == []
    link.unlink()
    (link / "specs").mkdir(parents=True)
    assert workspace.cli("run", "--once", "--allow-empty", *places).returncode == 0


def test_a_kustomization_in_a_plain_folder_is_told(follow: Follow, repository: Repository) -> None:
    workspace = follow(repository.url)
    workspace.settings = {}
    folder = workspace.root / "plain"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("namePrefix: x-\n")
    with workspace.daemon("--specs", str(folder)) as daemon:
        sidecar = folder / "kustomization.status.yaml"
        eventually(lambda: "not rendered here" in _text(sidecar), "the sidecar says so")
        eventually(lambda: "kustomization.yaml:1" in daemon.text(), "so does the log")


def _text(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    return ""
