#!/usr/bin/env python3
"""Install PyTorch's CPU build: ``scripts/torch_cpu.py [PIP OPTIONS] torch==2.13.0 [REQUIREMENT...]``.

On Linux, the ``torch`` of the default package index brings several GB of CUDA libraries, of no use to the
examples and tests. In this order:

1. pip with ``torch==VERSION+cpu``, for machines whose pip is set up with an index or folder that has it;
2. uv with ``--torch-backend cpu``, which knows PyTorch's own index;
3. plain pip, which always works and is the right one on macOS; on Linux it is large.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PINNED = re.compile(r"^torch==(?P<version>[0-9.]+)$")


def main(arguments: Sequence[str]) -> int:
    """Try the ways in order; the exit status of the last one tried."""
    if not any(PINNED.match(argument) for argument in arguments):
        sys.stderr.write(f"{Path(sys.argv[0]).name}: name the version, as in torch==2.13.0\n")
        return 2
    if platform.system() == "Linux":
        local = [f"{argument}+cpu" if PINNED.match(argument) else argument for argument in arguments]
        if _pip(local, quiet=True) == 0 or _uv(arguments) == 0:
            return 0
        print(
            "No CPU build of PyTorch is to be had here; taking the default one, which is large.", flush=True
        )
    return _pip(arguments, quiet=False)


def _pip(arguments: Sequence[str], *, quiet: bool) -> int:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL if quiet else None, check=False
    ).returncode


def _uv(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="uv-") as folder:
        if _pip(["--target", folder, "uv"], quiet=True) != 0:
            return 1
        options = list(arguments)
        if "--target" not in options:
            options = ["--python", sys.executable, *options]
        command = [str(Path(folder, "bin", "uv")), "pip", "install", "--quiet", "--torch-backend", "cpu"]
        return subprocess.run([*command, *options], stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
