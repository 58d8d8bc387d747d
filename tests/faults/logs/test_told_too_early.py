"""The end of a job is told when its logs are on disk; waiting for that keeps nothing else from going on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.logs.conftest import LogsHeldBack
from tests.support.flags import POLITE, Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

KEEP = "--no-auto-remove"


def _log_size(workspace: Workspace, job: str) -> int:
    files = (workspace.root / "state/reconciler/logs/default" / job).glob("*/*.log")
    return sum(file.stat().st_size for file in files)


def _exited(workspace: Workspace, job: str) -> bool:
    return {c["State"]["Status"] for c in workspace.containers(job)} == {"exited"}


def test_a_log_of_megabytes_is_on_disk_when_complete_is_told(docker: Workspace) -> None:
    job, flags = unique("big"), Flags(docker)
    line = "%08.0f of the lines that a job prints in a hurry"
    docker.write("j.yaml", flags.runtime(), shell(job, "rt", f"seq -f '{line}' 250000"))

    with docker.daemon(KEEP):
        docker.until_phase(job, "Complete", seconds=120)
        told = _log_size(docker, job)

    assert told == 250000 * len(f"{line % 1}\n")


def test_an_end_whose_log_is_not_given_yet_is_not_told_and_holds_no_other_job(
    docker: Workspace, held_back: LogsHeldBack
) -> None:
    job, other, flags = unique("held"), unique("other"), Flags(docker)
    docker.write("j.yaml", flags.runtime(), shell(job, "rt", "echo here"))
    with docker.daemon() as daemon:
        eventually(held_back.asked.is_set, "the log is asked for")
        eventually(lambda: "has ended" in str(docker.status(job).get("message")), "it has ended")
        docker.write("k.yaml", shell(other, "rt", flags.note("ran")))
        flags.until_noted(1)

        before = docker.status(job)
        kept = [c["State"]["Status"] for c in docker.containers(job)]
        daemon.kill()
    held_back.release()
    with docker.daemon():
        docker.until_phase(job, "Complete")
        told = docker.log(job, 0)

    assert before["phase"] == "Running"
    assert not [c for c in before["conditions"] if c["type"] in {"Complete", "Failed"}]
    assert "completionTime" not in before
    assert kept == ["exited"], "nothing is removed before its log is on disk"
    assert told == "here\n"


def test_other_ranks_are_stopped_at_once_and_the_failure_told_with_its_last_lines(
    docker: Workspace, held_back: LogsHeldBack
) -> None:
    job, flags = unique("fail"), Flags(docker)
    script = f"if [ $RANK = 1 ]; then echo why; exit 3; fi; {POLITE} while :; do sleep 0.1; done"
    docker.write("j.yaml", flags.runtime(nodes=2), shell(job, "rt", script))

    with docker.daemon(KEEP):
        eventually(lambda: _exited(docker, job), "the other rank was stopped")
        phase = docker.phase(job)
        held_back.release()
        status = docker.until_phase(job, "Failed")

    assert phase != "Failed"
    failed = next(c for c in status["conditions"] if c["type"] == "Failed")
    assert failed["message"].endswith("why"), failed
    assert status["failure"]["log"] == ["why"]


def test_a_job_deleted_while_its_log_is_read_keeps_the_log_and_leaves_nothing(
    docker: Workspace, held_back: LogsHeldBack
) -> None:
    job, flags = unique("gone"), Flags(docker)
    docker.write("rt.yaml", flags.runtime())
    path = docker.write("j.yaml", shell(job, "rt", "echo here"))

    with docker.daemon():
        eventually(lambda: "has ended" in str(docker.status(job).get("message")), "it has ended")
        path.unlink()
        held_back.release()
        eventually(lambda: not docker.containers(job) and not docker.status(job), "all of it is gone")

    kept: list[Path] = list((docker.root / "state/reconciler/logs/default").glob(f"{job}*/*/*.log"))
    assert [file.read_text() for file in kept] == ["here\n"]


def test_run_once_ends_only_when_the_logs_are_read(docker: Workspace, held_back: LogsHeldBack) -> None:
    job, flags = unique("once"), Flags(docker)
    docker.write("j.yaml", flags.runtime(), shell(job, "rt", "echo here"))
    with docker.daemon() as daemon:
        eventually(lambda: "has ended" in str(docker.status(job).get("message")), "it has ended")
        daemon.kill()
    held_back.release()

    assert docker.cli("run", "--once").returncode == 0

    assert docker.phase(job) == "Complete"
    assert docker.log(job, 0) == "here\n"


def test_a_daemon_has_no_thread_for_each_log(processes: Workspace) -> None:
    few, many, flags = unique("few"), unique("many"), Flags(processes)
    script = flags.note("$RANK") + flags.wait()
    processes.write("j.yaml", flags.runtime(nodes=4), shell(few, "rt", script))
    with processes.daemon() as daemon:
        flags.until_noted(4)
        processes.until_phase(few, "Running")
        tasks = Path(f"/proc/{daemon.process.pid}/task")
        before = len(list(tasks.iterdir()))
        processes.write("k.yaml", flags.runtime(name="rt2", nodes=12), shell(many, "rt2", script))
        flags.until_noted(16)
        processes.until_phase(many, "Running")
        after = len(list(tasks.iterdir()))
        flags.raise_flag()
        processes.until_phase(many, "Complete")

    assert after - before < 6
