"""The wheel and the sdist, built once for all tests that look at them, without a network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.support import engines

ROOT = Path(__file__).parents[2]


class BuildFailed(Exception):  # noqa: N818  (what happened, not what kind of mistake)
    """A build ended with an error; the message is its last lines."""


def build(folder: Path) -> tuple[Path, Path]:
    """Make sdist and wheel (from the sdist, as a release does); their paths."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def run(*command: str, timeout: float = 240, **environment: str) -> str:
    """Run a command to its end; what it said.

    Raises:
        BuildFailed: it ended with an error.
    """
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def wheels_of_dependencies(wheel: Path) -> Path:
    """Folder with the wheels of all that the wheel requires, and pip's own; fetched once into the cache.

    Raises:
        BuildFailed: the package index does not answer.
    """
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:12]
    folder = engines.CACHE_DIR / f"wheels-{wanted}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        run(
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--only-binary=:all:", "--dest", str(part), str(wheel), "pip",
        )  # fmt: skip
        for own in part.glob("trainjob_reconciler-*"):
            own.unlink()
        try:
            part.rename(folder)
        except OSError:  # another session was quicker
            run("rm", "-rf", str(part))
    return folder
