"""What the commands say of jobs whose folder has gone (a disk that is not mounted), and of sources of runtimes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique

pytestmark = pytest.mark.engine
IMAGE = "localhost/reconciler-test:base"


def _run_one(space: Workspace, script: str) -> str:
    """A job that has ended; its name."""
    job = unique("gone")
    space.write("job.yaml", runtime(job, IMAGE), shell(job, job, script))
    space.cli("run", "--wait")
    return job


def _unmount(space: Workspace) -> None:
    shutil.rmtree(space.specs)
    space.specs.mkdir()


def test_an_ended_job_without_folder_is_told_by_its_record(processes: Workspace) -> None:
    job = _run_one(processes, "exit 3")
    _unmount(processes)

    for look in (["get", "jobs"], ["describe", job]):
        said = processes.cli(*look).stdout

        assert "no daemon has seen it" not in said
        assert "All manifests are gone from" in said
        assert f"reconciler delete {job}" in said
    assert processes.cli("wait", job, "--timeout", "5").returncode == 1, (
        "it ended otherwise; no time-out (124)"
    )
    for command in ("rerun", "suspend", "resume"):
        done = processes.cli(command, job)
        assert done.returncode == 1
        assert "A running daemon removes it" not in done.stderr
        assert "Bring the manifests back" in done.stderr


def test_wait_believes_the_record_after_git_clean(processes: Workspace) -> None:
    job = _run_one(processes, "true")
    for sidecar in processes.specs.glob("*.status.yaml"):
        sidecar.unlink()

    assert processes.cli("wait", job, "--timeout", "5").returncode == 0

    processes.cli("rerun", job)

    assert processes.cli("wait", job, "--timeout", "1").returncode == 124, "the rerun has not begun"


def test_a_runtime_of_a_source_is_not_called_built_in(processes: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    name = unique("far")
    (elsewhere / "runtime.yaml").write_text(str(runtime(name, IMAGE)))
    processes.settings["RUNTIME_SOURCE"] = str(elsewhere)

    table = processes.cli("get", "runtimes").stdout.splitlines()

    assert next(line for line in table if f" {name} " in line).split()[-1] == "runtime-source"
    assert next(line for line in table if " torch-distributed " in line).split()[-1] == "built-in"


def test_a_refusal_of_times_names_the_container_as_people_do(processes: Workspace) -> None:
    job = _run_one(processes, "true")
    processes.write("b.yaml", shell(other := unique("long"), job, "sleep 600"))
    with processes.daemon():
        processes.until_phase(other, "Running")

        done = processes.cli("logs", other, "--timestamps")

        assert done.returncode == 1
        assert f"keeps no times of what {other}-node-0 prints" in done.stderr
