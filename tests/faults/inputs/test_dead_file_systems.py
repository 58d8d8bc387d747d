"""A file system that never answers (a dead NFS server) holds up only the job that needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dead_file_systems import DeadFileSystem, dead_file_system
from tests.support.manifests import runtime, trainjob
from tests.support.workspaces import Daemon, Workspace, eventually


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[DeadFileSystem]:
    with dead_file_system(tmp_path / "dead") as mounted:
        yield mounted


def mounting(name: str, path: Path | str) -> dict[str, object]:
    """A runtime whose containers mount a path of the host."""
    pod = {"volumes": [{"name": "data", "hostPath": {"path": str(path)}}]}
    container = {"volumeMounts": [{"name": "data", "mountPath": "/data"}], "command": ["true"]}
    return runtime(name, "none", pod=pod, container=container)


def thread_count(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir()))


def completes(workspace: Workspace, name: str) -> None:
    workspace.write(f"{name}.yaml", trainjob(name, "plain", "true"))
    workspace.until_phase(name, "Complete", seconds=45)


def test_one_that_is_only_listed_in_the_policy_holds_nobody_up(
    processes: Workspace, dead: DeadFileSystem
) -> None:
    processes.configure(
        policy={"hostPaths": [{"path": str(dead.path)}, {"path": str(dead.path / "in" / "it")}]}
    )
    processes.write("runtime.yaml", runtime("plain", "none"))
    (processes.root / "data").mkdir()
    processes.write("mounting.yaml", mounting("mounting", processes.root / "data"))
    processes.write("mounts.yaml", trainjob("mounts", "mounting"))

    with processes.daemon() as daemon:
        for name in ("a", "b", "c"):
            completes(processes, name)
        processes.until_phase("mounts", "Complete")
        assert thread_count(daemon) < 80
    assert processes.cli("validate", str(processes.specs), timeout=60).returncode == 0
    checked = processes.cli("doctor", timeout=100).stdout
    assert f"{dead.path}: the file system of {dead.path} does not answer" in checked


def test_twenty_jobs_that_name_one_wait_and_the_others_run(
    processes: Workspace, dead: DeadFileSystem
) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    for number in range(20):
        processes.write(f"r{number}.yaml", mounting(f"r{number}", dead.path / str(number)))
        processes.write(f"bad-{number}.yaml", trainjob(f"bad-{number}", f"r{number}"))

    with processes.daemon() as daemon:
        completes(processes, "good")
        for number in range(20):
            eventually(
                lambda number=number: "HostPathUnanswered" in processes.said(f"bad-{number}"),
                "it says why it waits",
            )
            assert "its file system does not answer" in processes.said(f"bad-{number}")
        completes(processes, "another")
        assert thread_count(daemon) < 80
        shown = processes.cli("validate", str(processes.specs), timeout=60)
        assert "does not answer" in shown.stdout + shown.stderr


def test_what_text_alone_refuses_is_never_looked_at(processes: Workspace, dead: DeadFileSystem) -> None:
    processes.configure(policy={"workspace": False})
    privileged = mounting("privileged", dead.path)
    processes.write("runtime.yaml", privileged)
    processes.write("job.yaml", trainjob("job", "privileged"))

    with processes.daemon():
        processes.until_phase("job", "Failed")
        assert "policy.hostPaths" in processes.said("job")


def test_a_job_starts_when_the_file_system_answers(processes: Workspace, dead: DeadFileSystem) -> None:
    target = processes.root / "link"
    target.symlink_to(dead.path)
    processes.write("mounting.yaml", mounting("mounting", target))
    processes.write("job.yaml", trainjob("job", "mounting"))

    with processes.daemon():
        eventually(lambda: "HostPathUnanswered" in processes.said("job"), "it says why it waits")
        target.unlink()
        target.mkdir()
        dead.end()
        processes.until_phase("job", "Complete", seconds=90)


def test_jobs_that_run_are_seen_to_end_though_their_path_does_not_answer_any_more(
    processes: Workspace, dead: DeadFileSystem
) -> None:
    data, ended = processes.root / "data", processes.root / "end"
    data.mkdir()
    rt = mounting("mounting", data)
    processes.write("mounting.yaml", rt)
    waits = f"while [ ! -e {ended} ]; do sleep 0.1; done"
    processes.write("job.yaml", trainjob("job", "mounting", "sh", "-c", waits))

    with processes.daemon():
        processes.until_phase("job", "Running")
        data.rmdir()
        data.symlink_to(dead.path)
        ended.touch()
        processes.until_phase("job", "Complete", seconds=90)


def test_a_link_in_the_folder_that_leads_to_one_is_a_fault_of_its_own(
    processes: Workspace, dead: DeadFileSystem
) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    (processes.specs / "folder").symlink_to(dead.path)
    (processes.specs / "linked.yaml").symlink_to(dead.path / "job.yaml")
    try:
        with processes.daemon() as daemon:
            completes(processes, "good")
            processes.write("good.yaml", trainjob("good", "plain", "true"))
            completes(processes, "other")
            assert "the link cannot be followed: the file system of" in daemon.text()
            shown = processes.cli("get", "jobs", timeout=60)
            assert "Complete" in shown.stdout
            daemon.process.terminate()
            assert daemon.process.wait(timeout=60) == 0
        assert processes.cli("validate", str(processes.specs), timeout=60).returncode != 0
    finally:
        for name in ("folder", "linked.yaml"):
            (processes.specs / name).unlink()
