"""A job that is deleted and made again is another object: neither shows the other's logs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import MakeWorkspace
from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import PYTHON, Workspace, eventually, unique

SECRET = "hunter2-and-more"


def _logs(workspace: Workspace) -> Path:
    return workspace.root / "state" / "reconciler" / "logs" / "default"


def _run(
    workspace: Workspace, job: str, script: str, *documents: dict[str, object], restarts: int = 0
) -> None:
    jobset = {"failurePolicy": {"maxRestarts": restarts}}
    workspace.write("j.yaml", *documents, Flags(workspace).runtime(jobset=jobset), shell(job, "rt", script))
    workspace.cli("run", "--wait")


def _delete(workspace: Workspace, job: str) -> str:
    """Delete the job as a user does; its uid."""
    [uid] = [d["metadata"]["uid"] for d in workspace.documents() if d["metadata"]["name"] == job]
    (workspace.specs / "j.yaml").unlink()
    workspace.cli("run", "--once", "--allow-empty")
    return str(uid)


def test_a_new_job_of_a_deleted_ones_name_has_logs_of_its_own(processes: Workspace) -> None:
    job = unique("again")
    _run(processes, job, "echo the old one; exit 1", restarts=2)
    uid = _delete(processes, job)

    _run(processes, job, "echo the new one")

    shown = processes.cli("logs", job)
    earlier = processes.cli("logs", job, "--attempt", "2")
    assert shown.stdout == "the new one\n"
    assert earlier.returncode == 1
    assert "There are: [0]" in earlier.stderr
    kept = sorted(p.read_text() for p in (_logs(processes) / f"{job}.{uid[:8]}").glob("*/*.log"))
    assert kept == ["the old one\n"] * 3


def test_a_failure_never_quotes_an_earlier_job(processes: Workspace) -> None:
    job = unique("quote")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token"},
        "stringData": {"TOKEN": SECRET},
    }
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "TOKEN"}}}]
    old = shell(job, "rt", "echo $TOKEN; exit 1")
    old["spec"]["trainer"]["env"] = env
    processes.write("j.yaml", secret, Flags(processes).runtime(), old)
    processes.cli("run", "--wait")
    _delete(processes, job)

    _run(processes, job, "exit 3")

    failure = processes.status(job)["failure"]
    assert failure["exitCode"] == 3
    assert failure["log"] == ["(it printed nothing)"]
    assert SECRET not in json.dumps(processes.documents())


def test_the_logs_of_a_deleted_job_are_found_the_newest_first(processes: Workspace) -> None:
    job = unique("gone")
    for text in ("first", "second"):
        _run(processes, job, f"echo {text}")
        _delete(processes, job)

    shown = processes.cli("logs", job)
    followed = processes.cli("logs", job, "-f")
    unknown = processes.cli("logs", f"{job}x")

    assert (shown.returncode, shown.stdout) == (0, "second\n")
    assert f"There is no job {job} any more. It was deleted at 20" in shown.stderr
    assert followed.stdout == "second\n"
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert f"There is no job {job}x" in unknown.stderr


def test_a_rerun_counts_on_in_its_own_folder(processes: Workspace) -> None:
    job = unique("rerun")
    _run(processes, job, "echo started")
    assert processes.cli("rerun", job).returncode == 0

    processes.cli("run", "--wait")

    attempts = [processes.cli("logs", job, "--attempt", n).stdout for n in ("0", "1")]
    assert attempts == ["started\n", "started\n"]
    uid = _delete(processes, job)
    assert sorted(p.name for p in _logs(processes).iterdir()) == [f"{job}.{uid[:8]}"]


def test_a_folder_that_another_object_left_under_the_name_is_moved_aside(processes: Workspace) -> None:
    # As after a daemon that was killed between the deletion and the renaming.
    job = unique("left")
    folder = _logs(processes) / job / "0"
    folder.mkdir(parents=True)
    (folder / f"{job}-node-0.log").write_text("somebody else's\n")
    (folder.parent / ".object.json").write_text('{"uids": ["11111111-2222"]}')

    _run(processes, job, "exit 3")

    assert processes.status(job)["failure"]["log"] == ["(it printed nothing)"]
    assert processes.cli("logs", job).stdout == ""
    moved = _logs(processes) / f"{job}.11111111" / "0" / f"{job}-node-0.log"
    assert moved.read_text() == "somebody else's\n"


def test_logs_of_earlier_versions_stay_readable(processes: Workspace) -> None:
    job = unique("legacy")
    _run(processes, job, "echo from before")
    (_logs(processes) / job / ".object.json").unlink()

    living = processes.cli("logs", job)
    _delete(processes, job)
    gone = processes.cli("logs", job)

    assert (living.stdout, gone.stdout) == ("from before\n", "from before\n")


@pytest.mark.parametrize("restarts", [1])
def test_a_job_whose_record_and_sidecar_are_known_again_keeps_its_logs(
    processes: Workspace, restarts: int
) -> None:
    job = unique("clean")
    _run(processes, job, "echo tried; exit 1", restarts=restarts)
    [sidecar] = processes.specs.glob("*.status.yaml")
    sidecar.unlink()

    # git clean: no daemon has written the sidecar again, but its record says whose the logs are.
    shown = processes.cli("logs", job, "--attempt", "1")

    assert shown.stdout == "tried\n"


def test_a_status_without_a_uid_leaves_the_logs_findable(processes: Workspace) -> None:
    job = unique("nouid")
    _run(processes, job, "echo mine")
    [sidecar] = processes.specs.glob("*.status.yaml")
    document = yaml.safe_load(sidecar.read_text())
    # git clean, and then a daemon whose engine did not answer wrote what it could say.
    document["metadata"] = {"name": job, "namespace": "default"}
    document["status"] = {"phase": "Pending", "message": "The engine does not answer.", "conditions": []}
    sidecar.write_text(yaml.safe_dump(document))

    assert processes.cli("logs", job).stdout == "mine\n"


def test_a_job_that_no_daemon_has_seen_is_not_shown_another_ones_logs(processes: Workspace) -> None:
    job = unique("unseen")
    _run(processes, job, "echo the old one")
    record = next((processes.root / "state" / "reconciler" / "records").rglob(f"{job}.json"))
    record.unlink()
    next(processes.specs.glob("*.status.yaml")).unlink()

    shown = processes.cli("logs", job)

    assert shown.returncode == 1
    assert shown.stdout == ""


def test_a_job_that_is_known_by_its_containers_alone_keeps_its_log(processes: Workspace) -> None:
    job = unique("both")
    flags = Flags(processes)
    processes.write("j.yaml", flags.runtime(), shell(job, "rt", f"echo before; {flags.wait()} echo after"))
    with processes.daemon() as daemon:
        processes.until_phase(job, "Running")
        eventually(lambda: "before" in processes.log(job, 0), "the first line is kept")
        daemon.kill()
    next((processes.root / "state" / "reconciler" / "records").rglob(f"{job}.json")).unlink()
    next(processes.specs.glob("*.status.yaml")).unlink()

    with processes.daemon():
        processes.until_phase(job, "Running")
        flags.raise_flag()
        processes.until_phase(job, "Complete")

    assert processes.cli("logs", job).stdout == "before\nafter\n"
    assert (_logs(processes) / job / "0" / f"{job}-node-0.log").read_text() == "before\nafter\n"


def test_two_folders_with_one_log_dir_keep_their_logs_apart(
    make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    job = unique("shared")
    one, two = make_workspace("process"), make_workspace("process")
    shared = str(tmp_path / "logs")
    for each, text in ((one, "one"), (two, "two")):
        each.settings["LOG_DIR"] = shared
        _run(each, job, f"echo {text}")

    assert [each.cli("logs", job).stdout for each in (one, two)] == ["one\n", "two\n"]


def test_a_follower_ends_with_the_job_that_it_began_with(processes: Workspace) -> None:
    job = unique("follow")
    flags = Flags(processes)
    other = shell(unique("other"), "rt", flags.wait())
    script = "trap 'echo last words; exit 0' TERM; echo old; while :; do sleep 0.1; done"
    processes.write("other.yaml", flags.runtime(), other)
    processes.write("j.yaml", shell(job, "rt", script))
    shown = processes.root / "followed"
    with processes.daemon(), shown.open("wb") as file:
        processes.until_phase(job, "Running")
        command = [PYTHON, "-m", "reconciler", "logs", job, "-f"]
        following = subprocess.Popen(command, env=processes.environment, stdout=file, stderr=file)
        eventually(lambda: "old" in shown.read_text(), "the first line is shown")
        uid = next(d["metadata"]["uid"] for d in processes.documents() if d["metadata"]["name"] == job)
        (processes.specs / "j.yaml").unlink()
        renamed = _logs(processes) / f"{job}.{uid[:8]}"
        eventually(renamed.is_dir, "its folder is renamed", seconds=90)

        processes.write("j.yaml", shell(job, "rt", "echo new"))

        processes.until_phase(job, "Complete")
        assert processes.cli("logs", job).stdout == "new\n"
        assert following.wait(60) == 0
        assert "last words" in shown.read_text()
        assert "new" not in shown.read_text()
        assert "last words" in (renamed / "0" / f"{job}-node-0.log").read_text()
        flags.raise_flag()
