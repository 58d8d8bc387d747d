"""PyTorch, numpy and scikit-learn in a folder of their own, for the test image to mount.

The CPU build is wanted: the one that package indexes give by default on Linux brings several GB of CUDA.
``scripts/torch_cpu.py`` knows how to get it; this module keeps the result, keyed by what was asked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = ("torch==2.13.0", "numpy==2.4.6", "scikit-learn==1.9.1")
#: Of the Debian release that the image is made from.
PYTHON = "3.11"
SCRIPT = Path(__file__).parents[2] / "scripts" / "torch_cpu.py"


class SiteMissing(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """PyTorch can't be had; the message says why."""


def ensure_site(cache: Path) -> Path:
    """The folder, installed unless it is there.

    Raises:
        SiteMissing: pip failed.
    """
    digest = hashlib.sha256(json.dumps([REQUIREMENTS, PYTHON]).encode()).hexdigest()[:12]
    site = cache / f"site-{digest}"
    if site.exists():
        return site
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "site.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.exists():
            _install(site)
    return site


def _install(site: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="site-part-", dir=site.parent))
    command = [
        sys.executable, str(SCRIPT), "--target", str(scratch), "--python-version", PYTHON,
        "--only-binary=:all:", *REQUIREMENTS,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(scratch, ignore_errors=True)
        tail = "\n".join(done.stdout.splitlines()[-8:])
        raise SiteMissing(f"PyTorch can't be installed for the test image:\n{tail}")
    scratch.chmod(0o755)
    scratch.rename(site)
