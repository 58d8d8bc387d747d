"""Whatever is killed, lost or full: afterwards the state is what it would have been, and nothing ran twice."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import small_disks
from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def test_a_second_daemon_says_who_holds_the_folder(processes: Workspace) -> None:
    processes.write("rt.yaml", Flags(processes).runtime())
    with processes.daemon() as daemon:
        eventually(lambda: "engine connected" in daemon.text(), "the daemon is up")

        second = processes.cli("run", "--once")

    assert second.returncode != 0
    assert f"pid {daemon.process.pid}" in second.stderr
    assert "--specs" in second.stderr


def test_a_killed_daemons_lock_is_free_at_once(processes: Workspace) -> None:
    processes.write("rt.yaml", Flags(processes).runtime())
    with processes.daemon() as daemon:
        eventually(lambda: "engine connected" in daemon.text(), "the daemon is up")
        daemon.kill()

    assert processes.cli("run", "--once").returncode == 0


@pytest.mark.one_engine
@pytest.mark.parametrize("lost", ["record", "sidecar"])
def test_either_record_or_sidecar_is_enough_while_the_job_runs(containers: Workspace, lost: str) -> None:
    job = unique("lost")
    flags = Flags(containers)
    script = flags.note("$RANK") + f"if [ $RANK = 0 ]; then {flags.once('exit 1')} fi; " + flags.wait()
    rt = flags.runtime(nodes=2, job={"backoffLimit": 3}, pod={"restartPolicy": "OnFailure"})
    path = containers.write("j.yaml", rt, shell(job, "rt", script))
    with containers.daemon() as daemon:
        # Rank 0 has been restarted once, which only the record and the containers' labels know.
        flags.until_noted(3)
        eventually(
            lambda: [n["state"] for n in containers.status(job)["nodes"]] == ["running"] * 2, "both run"
        )
        before = [n["containerID"] for n in containers.status(job)["nodes"]]
        daemon.kill()
    uid = containers.documents()[0]["metadata"]["uid"]
    if lost == "record":
        shutil.rmtree(containers.root / "state" / "reconciler" / "records")
    else:
        path.with_name("j.status.yaml").unlink()

    with containers.daemon():
        containers.until_phase(job, "Running")
        eventually(lambda: all(n["ip"] for n in containers.status(job)["nodes"]), "the status is whole")
        after = [n["containerID"] for n in containers.status(job)["nodes"]]
        flags.raise_flag()
        containers.until_phase(job, "Complete")

    assert after == before
    assert containers.documents()[0]["metadata"]["uid"] == uid
    assert sorted(flags.notes()) == ["0", "0", "1"]


@pytest.mark.parametrize("lost", ["record", "sidecar"])
def test_a_finished_job_stays_finished_without_record_or_sidecar(processes: Workspace, lost: str) -> None:
    job = unique("over")
    flags = Flags(processes)
    path = processes.write("j.yaml", flags.runtime(), shell(job, "rt", flags.note("ran")))
    processes.cli("run", "--wait")
    if lost == "record":
        shutil.rmtree(processes.root / "state" / "reconciler" / "records")
    else:
        path.with_name("j.status.yaml").unlink()

    done = processes.cli("run", "--wait")

    assert done.returncode == 0
    assert processes.phase(job) == "Complete"
    assert flags.notes() == ["ran"]


@pytest.mark.one_engine
def test_a_killed_daemon_between_start_and_end_changes_nothing(containers: Workspace) -> None:
    job = unique("kill")
    flags = Flags(containers)
    script = f"{flags.note('$RANK')}echo one; {flags.wait()} echo two; exit $RANK"
    containers.write("j.yaml", flags.runtime(nodes=2), shell(job, "rt", script))
    with containers.daemon() as daemon:
        flags.until_noted(2)
        daemon.kill()
    # The ranks end, one of them badly, while nobody looks.
    flags.raise_flag()
    eventually(
        lambda: [c["State"]["Status"] for c in containers.containers(job)] == ["exited"] * 2, "both ended"
    )

    with containers.daemon():
        status = containers.until_phase(job, "Failed")
        eventually(lambda: not containers.containers(job), "containers gone")

    assert (status["failure"]["rank"], status["failure"]["exitCode"]) == (1, 1)
    assert sorted(flags.notes()) == ["0", "1"]
    assert [containers.log(job, rank) for rank in range(2)] == ["one\ntwo\n"] * 2


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    with small_disks.small_disk(tmp_path / "tiny", "64k") as folder:
        yield folder


def test_a_full_disk_for_statuses_stops_no_job_and_is_made_up_for(
    processes: Workspace, tiny_disk: Path
) -> None:
    job = unique("full")
    flags = Flags(processes)
    filler = tiny_disk / "filler"
    small_disks.fill(filler, 512)
    processes.write("j.yaml", flags.runtime(), shell(job, "rt", f"{flags.note('ran')}{flags.wait()}"))
    with processes.daemon("--status-dir", str(tiny_disk)) as daemon:
        flags.until_noted(1)
        eventually(lambda: "status write failed" in daemon.text(), "the daemon says so")
        flags.raise_flag()
        filler.unlink()
        sidecar = tiny_disk / "j.status.yaml"
        eventually(lambda: sidecar.exists() and "phase: Complete" in sidecar.read_text(), "written")

    assert flags.notes() == ["ran"]
    assert [p.name for p in tiny_disk.iterdir()] == ["j.status.yaml"]


def test_a_full_disk_for_records_starts_nothing_that_it_could_not_remember(
    processes: Workspace, tiny_disk: Path
) -> None:
    job = unique("norec")
    flags = Flags(processes)
    filler = tiny_disk / "filler"
    small_disks.fill(filler, 512)
    records = processes.root / "state" / "reconciler"
    records.mkdir(parents=True)
    (records / "records").symlink_to(tiny_disk)
    processes.write("j.yaml", flags.runtime(), shell(job, "rt", flags.note("ran")))
    with processes.daemon() as daemon:
        eventually(lambda: "reconcile failed" in daemon.text(), "the daemon says so")
        started = flags.notes()
        filler.unlink()
        processes.until_phase(job, "Complete")

    assert started == []
    assert flags.notes() == ["ran"]


@pytest.mark.one_engine
def test_term_leaves_the_containers_running(containers: Workspace) -> None:
    job = unique("term")
    flags = Flags(containers)
    containers.write("j.yaml", flags.runtime(), shell(job, "rt", f"{flags.note('up')}{flags.wait()}"))
    with containers.daemon() as daemon:
        flags.until_noted(1)
        containers.until_phase(job, "Running")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=30) == 0

    assert [c["State"]["Status"] for c in containers.containers(job)] == ["running"]
