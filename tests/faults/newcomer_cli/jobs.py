"""Jobs on the process engine whose processes tests can count without asking the code under test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.support.manifests import UNTIL_TERM, runtime, trainjob
from tests.support.workspaces import Workspace, eventually, unique

#: A process that outlives its TERM until the test lets it go, for as long as its grace period lasts.
IGNORES_TERM = "trap '' TERM; while test ! -e {flag}; do sleep 0.1; done"


def job(name: str, script: str = UNTIL_TERM, **trainer: Any) -> dict[str, Any]:
    """A TrainJob that runs a shell script; ``rt`` is its runtime."""
    return trainjob(name, "rt", "sh", "-c", script, **trainer)


def write_runtime(workspace: Workspace, file: str = "rt.yaml", **parts: Any) -> Path:
    """A runtime called ``rt``."""
    return workspace.write(file, runtime("rt", "none", **parts))


def names(count: int) -> list[str]:
    """Job names in alphabetical order."""
    return sorted(unique("job") for _ in range(count))


def processes(name: str) -> list[int]:
    """Pids of processes of a job: its name is in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"TEST_JOB={name}\0".encode() in environment:
            found.append(int(entry.name))
    return found


def marked(name: str, script: str = UNTIL_TERM, **trainer: Any) -> dict[str, Any]:
    """A job whose processes :func:`processes` finds."""
    return job(name, script, env=[{"name": "TEST_JOB", "value": name}], **trainer)


def until_runs(workspace: Workspace, *jobs: str) -> None:
    """Waits until each job runs, also by the host."""
    for name in jobs:
        workspace.until_phase(name, "Running")
        eventually(lambda name=name: processes(name), f"processes of {name}")


def until_gone(workspace: Workspace, *jobs: str) -> None:
    """Waits until nothing of the jobs runs, and no status is left."""
    for name in jobs:
        eventually(lambda name=name: not processes(name), f"processes of {name} gone", seconds=30)
        eventually(lambda name=name: not workspace.status(name), f"status of {name} gone", seconds=30)
