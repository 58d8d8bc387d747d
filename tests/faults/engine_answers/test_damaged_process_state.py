"""Files of the process engine's state that somebody has damaged: one job's trouble, told, and nothing runs twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def _told(workspace: Workspace, job: str) -> str:
    found = workspace.status(job).get("conditions", [])
    return next((c["message"] for c in found if c["type"] == "EngineFailing"), "")


def _until_told(workspace: Workspace, job: str, name: str) -> None:
    eventually(
        lambda: name in _told(workspace, job) if name else not _told(workspace, job), f"told of {name}"
    )


def _container(workspace: Workspace, job: str) -> Path:
    return workspace.root / "state" / "reconciler" / "process" / "containers" / f"{job}-node-0"


DAMAGES = {
    "half": lambda text: text[: len(text) // 2],
    "nothing": lambda _: "",
    "a list": lambda _: "[1, null]",
    "an empty object": lambda _: "{}",
    "nested for ever": lambda _: "[" * 100_000,
    "null for its labels": lambda text: json.dumps(
        json.loads(text) | {"labels": None, "code": [], "main": None}
    ),
}


def test_a_damaged_file_is_one_jobs_trouble(processes: Workspace) -> None:
    runs, go = processes.root / "runs", processes.root / "go"
    job, other = unique("damaged"), unique("other")
    script = f"echo run >> {runs}; while [ ! -e {go} ]; do sleep 0.1; done"
    processes.write("a.yaml", runtime("rt", "none", job={"backoffLimit": 3}), shell(job, "rt", script))

    with processes.daemon("--resync", "1") as daemon:
        processes.until_phase(job, "Running")
        eventually(runs.exists, "it runs")
        for name, damages in (("spec.json", DAMAGES), ("run.json", ("half", "null for its labels"))):
            path = _container(processes, job) / name
            whole = path.read_text()
            for damage in damages:
                path.write_text(DAMAGES[damage](whole))
                _until_told(processes, job, name)
                path.write_text(whole)
                _until_told(processes, job, "")
        path.write_text("")
        processes.write("b.yaml", shell(other, "rt", "true"))
        processes.until_phase(other, "Complete")
        path.write_text(whole)
        go.touch()
        processes.until_phase(job, "Complete")
        assert "internal error" not in daemon.text()

    assert runs.read_text() == "run\n"
