"""What stands in a file's place and is none: pipes, devices, endless and enormous files."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import runtime, trainjob
from tests.support.workspaces import PYTHON, Daemon, Workspace, eventually

Place = Callable[[Path], None]


def place_fifo(path: Path) -> None:
    os.mkfifo(path)


def place_device_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def place_kernel_link(path: Path) -> None:
    path.symlink_to("/proc/kmsg")


def place_sparse_200_mb(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(200_000_000)


def place_sparse_20_gb(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20_000_000_000)


def place_folder(path: Path) -> None:
    path.mkdir()


UNFIT: dict[str, Place] = {
    "fifo": place_fifo,
    "zero": place_device_link,
    "kmsg": place_kernel_link,
    "sparse": place_sparse_200_mb,
    "huge": place_sparse_20_gb,
    "folder": place_folder,
}
#: What nobody has written as a status: it is reported and left (a link is replaced by the status).
KEPT = ("fifo", "sparse", "huge", "folder")


def phase(workspace: Workspace, file: str) -> str:
    """The phase in one sidecar: the others are never to be read here."""
    path = workspace.specs / f"{file}.status.yaml"
    if not (path.exists() and stat.S_ISREG(path.lstat().st_mode)):
        return ""
    documents = yaml.safe_load_all(path.read_text())
    return next((str(d["status"].get("phase", "")) for d in documents if d and d["kind"] == "TrainJob"), "")


def peak_megabytes(daemon: Daemon) -> float:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def identity(path: Path) -> tuple[int, int, int]:
    facts = path.lstat()
    return facts.st_mode, facts.st_ino, facts.st_size


def remove(path: Path) -> None:
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def test_what_takes_a_sidecars_place_holds_nobody_up_and_stays(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    before = {}
    for name, place in UNFIT.items():
        processes.write(f"{name}.yaml", trainjob(name, "plain", "touch", str(processes.root / f"{name}.ran")))
        sidecar = processes.specs / f"{name}.status.yaml"
        place(sidecar)
        before[sidecar] = identity(sidecar)

    try:
        with processes.daemon() as daemon:
            processes.write("good.yaml", trainjob("good", "plain", "true"))
            eventually(lambda: phase(processes, "good") == "Complete", "the other job completes")
            for name in UNFIT:
                eventually((processes.root / f"{name}.ran").exists, f"the job {name} runs itself")
            shown = processes.cli("get", "jobs", timeout=60)
            assert peak_megabytes(daemon) < 300
            for name in KEPT:
                sidecar = processes.specs / f"{name}.status.yaml"
                assert identity(sidecar) == before[sidecar]
                assert f"{sidecar} cannot be read" in shown.stdout + shown.stderr
                assert f"Cannot read {sidecar}" in daemon.text()
                remove(sidecar)
            for name in UNFIT:
                eventually(lambda name=name: phase(processes, name) == "Complete", f"{name} has its status")
    finally:
        for sidecar in before:
            remove(sidecar)


def test_the_job_of_such_a_sidecar_is_deleted_and_the_sidecar_stays(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    manifest = processes.write("job.yaml", trainjob("job", "plain", "sleep", "600"))
    sidecar = processes.specs / "job.status.yaml"

    with processes.daemon() as daemon:
        eventually(lambda: phase(processes, "job") == "Running", "it runs")
        sidecar.unlink()
        os.mkfifo(sidecar)
        manifest.unlink()
        eventually(lambda: "job deleted" in daemon.text(), "the job is deleted")
        assert stat.S_ISFIFO(sidecar.lstat().st_mode)
    sidecar.unlink()


def test_what_takes_a_manifests_place_is_a_fault_of_that_file(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    manifests = {name: processes.specs / f"{name}.yaml" for name in UNFIT}
    for name, place in UNFIT.items():
        place(manifests[name])

    try:
        with processes.daemon() as daemon:
            processes.write("good.yaml", trainjob("good", "plain", "true"))
            eventually(lambda: phase(processes, "good") == "Complete", "the other job completes")
            assert peak_megabytes(daemon) < 300
        named = [str(path) for path in manifests.values() if not path.is_dir()]
        for command in ("validate", "plan"):
            done = processes.cli(command, *named, timeout=60)
            assert done.returncode != 0
            for path in named:
                lines = [line for line in (done.stdout + done.stderr).splitlines() if path in line]
                assert any("not a file" in line or "bytes, more than" in line for line in lines), path
    finally:
        for path in manifests.values():
            remove(path)


@pytest.mark.parametrize("place", [place_fifo, place_kernel_link, place_sparse_20_gb])
def test_other_files_that_are_named_are_refused_in_a_sentence(processes: Workspace, place: Place) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    good = processes.write("good.yaml", trainjob("good", "plain", "true"))
    unfit = processes.root / "unfit.yaml"
    place(unfit)

    for arguments in (
        ("validate", "--against", str(unfit), str(good)),
        ("validate", "--runtime-source", f"file://{unfit}", str(good)),
        ("get", "jobs", "--config", str(unfit)),
        ("run", "--once", "--env-file", str(unfit)),
    ):
        done = processes.cli(*arguments, timeout=30)
        said = done.stdout + done.stderr
        assert "not a file" in said or "bytes, more than" in said, arguments


def test_a_pipe_of_the_shell_is_read_like_standard_input(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    job = processes.write("good.yaml", trainjob("good", "plain", "true"))
    words = shlex.join([PYTHON, "-m", "reconciler", "validate", str(processes.specs / "runtime.yaml")])

    done = subprocess.run(
        ["bash", "-c", f"{words} <(cat {shlex.quote(str(job))})"],
        env=processes.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "2 objects in 2 files: valid\n")


def test_a_pipe_that_becomes_a_manifest_while_the_daemon_runs_is_not_waited_for(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    manifest = processes.write("job.yaml", trainjob("job", "plain", "sleep", "600"))

    with processes.daemon():
        eventually(lambda: phase(processes, "job") == "Running", "it runs")
        (processes.specs / ".fifo").unlink(missing_ok=True)
        os.mkfifo(processes.specs / ".fifo")
        (processes.specs / ".fifo").rename(manifest)
        processes.write("good.yaml", trainjob("good", "plain", "true"))
        eventually(lambda: phase(processes, "good") == "Complete", "the other job completes")
        assert phase(processes, "job") == "Running", "the last good version stays in force"
    manifest.unlink()
