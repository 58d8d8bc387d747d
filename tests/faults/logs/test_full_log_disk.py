"""A log disk without room: said in a condition, and the log is whole before the end is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def _pressure(workspace: Workspace, job: str) -> str:
    conditions = workspace.status(job).get("conditions", [])
    return next((c["message"] for c in conditions if c["type"] == "DiskPressure"), "")


@pytest.mark.one_engine
@pytest.mark.parametrize("ends", [False, True])
def test_a_full_log_disk_is_told_and_made_up_for(containers: Workspace, small_disk: Path, ends: bool) -> None:
    job, flags = unique("room"), Flags(containers)
    script = f"seq 30000; {flags.note('printed')}" + ("" if ends else flags.wait())
    containers.write("j.yaml", flags.runtime(), shell(job, "rt", script))
    with containers.daemon("--log-dir", str(small_disk)):
        flags.until_noted(1)
        eventually(lambda: _pressure(containers, job), "the condition is there")
        said = _pressure(containers, job)
        flags.raise_flag()
        eventually(
            lambda: [c["State"]["Status"] for c in containers.containers(job)] == ["exited"], "it has ended"
        )
        before = containers.phase(job)
        (small_disk / "filler").unlink()
        containers.until_phase(job, "Complete")
        told = b"".join(path.read_bytes() for path in small_disk.glob("default/*/*/*.log"))
        eventually(lambda: not _pressure(containers, job), "the condition is gone")
        eventually(lambda: not containers.containers(job), "the container is gone")

    assert "No space left" in said
    assert str(small_disk) in said
    assert before == "Running"
    assert told == b"".join(b"%d\n" % number for number in range(1, 30001))


@pytest.mark.one_engine
def test_a_job_that_is_deleted_on_a_full_log_disk_goes_when_there_is_room(
    containers: Workspace, small_disk: Path
) -> None:
    job, flags = unique("rm"), Flags(containers)
    containers.write("rt.yaml", flags.runtime())
    path = containers.write("j.yaml", shell(job, "rt", f"seq 30000; {flags.note('printed')}{flags.wait()}"))
    with containers.daemon("--log-dir", str(small_disk)):
        eventually(lambda: _pressure(containers, job), "the condition is there")
        path.unlink()
        eventually(
            lambda: [c["State"]["Status"] for c in containers.containers(job)] == ["exited"], "it was stopped"
        )
        (small_disk / "filler").unlink()
        eventually(lambda: not containers.containers(job), "all of it is gone")

    told = b"".join(path.read_bytes() for path in small_disk.glob("default/*/*/*.log"))
    assert told == b"".join(b"%d\n" % number for number in range(1, 30001))
