"""The command as processes of its own, on the engine that every machine has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.samples import trainjob, write

ENGINE = ("--engine", "process")


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "reconciler", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, **options)


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    return process.returncode, out, err


def write_job(specs: Path, script: str, name: str = "demo", nodes: int = 2) -> None:
    trainer = {"numNodes": nodes, "image": "none", "command": ["python3", "-c", script]}
    write(specs / f"{name}.yaml", trainjob(name, runtime="plain", trainer=trainer))
