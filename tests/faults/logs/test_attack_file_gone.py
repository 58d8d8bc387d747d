"""Somebody removes, replaces or cuts a kept log while its job runs: it is whole again when the end is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

IMAGE = "localhost/reconciler-test:base"
WHOLE = "".join(f"{number}\n" for number in [*range(1, 2001), *range(1, 51)]) + "last"


def _remove(log: Path) -> None:
    log.unlink()


def _remove_job(log: Path) -> None:
    shutil.rmtree(log.parents[1])


def _remove_root(log: Path) -> None:
    shutil.rmtree(log.parents[3])


def _move_job(log: Path) -> None:
    log.parents[1].rename(log.parents[4] / "moved")


def _replace(log: Path) -> None:
    (log.parent / "new").write_text("other\n")
    (log.parent / "new").rename(log)


def _cut(log: Path) -> None:
    os.truncate(log, 100)


def _printed(workspace: Workspace, job: str) -> Path | None:
    """The job's log, when its first part is in it."""
    folder = workspace.root / "state" / "reconciler" / "logs" / "default" / job
    return next((p for p in folder.glob("0/*.log") if "\n2000\n" in p.read_text()), None)


def _spoil_and_finish(workspace: Workspace, spoil: Callable[[Path], None]) -> str:
    """Run a job whose log is spoilt in its middle; its log when the end is told."""
    job, go = unique("gone"), "/work/go"
    (workspace.root / "go").mkdir()
    mount = {"volumeMounts": [{"name": "go", "mountPath": "/work"}]}
    pod = {"volumes": [{"name": "go", "hostPath": {"path": str(workspace.root / "go")}}]}
    workspace.write("runtime.yaml", runtime("plain", IMAGE, container=mount, pod=pod))
    script = f"seq 1 2000; while [ ! -e {go} ]; do sleep 0.1; done; seq 1 50; printf last"
    workspace.write("job.yaml", shell(job, "plain", script))
    with workspace.daemon():
        spoil(eventually(lambda: _printed(workspace, job), "the first part is in the log", seconds=120))
        (workspace.root / "go" / "go").touch()
        workspace.until_phase(job, "Complete", seconds=120)
        assert "LogIncomplete" not in workspace.said(job)
        return workspace.log(job, 0)


@pytest.mark.parametrize("spoil", [_remove_job, _remove_root, _move_job, _replace, _cut])
def test_spoilt_log_is_whole_at_the_end(processes: Workspace, spoil: Callable[[Path], None]) -> None:
    log = _spoil_and_finish(processes, spoil)

    # What somebody put there instead is kept, and told apart.
    assert log.endswith(WHOLE)


def test_removed_log_is_whole_at_the_end_on_each_engine(containers: Workspace) -> None:
    assert _spoil_and_finish(containers, _remove) == WHOLE


def test_moved_log_is_left_as_it_is(processes: Workspace) -> None:
    _spoil_and_finish(processes, _move_job)

    moved = next((processes.root / "state" / "reconciler" / "moved").glob("0/*.log"))
    # What was printed until it was missed stands in it as well.
    assert "\n2000\n" in moved.read_text()


def test_container_removed_while_no_daemon_ran_leaves_a_word_about_its_log(containers: Workspace) -> None:
    job = unique("removed")
    containers.write("runtime.yaml", runtime("plain", IMAGE))
    containers.write("job.yaml", shell(job, "plain", "echo first; sleep 600"))
    with containers.daemon() as daemon:
        containers.until_phase(job, "Running", seconds=120)
        daemon.kill()
    (container,) = containers.containers(job)
    with containers.api() as client:
        client.api.remove_container(container["Id"], force=True)

    with containers.daemon():
        containers.until_phase(job, "Failed", seconds=120)

        assert "LogIncomplete" in containers.said(job)
