"""What trainings report their progress with: the kubeflow SDK, and transformers, for containers to mount.

Both are the packages that users have, unchanged. transformers needs no PyTorch for its callback.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.kubeflow_sdk import sdk_python
from tests.support import engines

#: The first releases with ``KubeflowCallback`` are of 2026.
TRANSFORMERS = ("transformers==5.23.0", "numpy==2.4.6")
#: Of the Debian release that the image is made from.
PYTHON = "3.11"


def kubeflow_site() -> Path:
    """Folder with the kubeflow SDK; skips the test where it can't be had."""
    found = sorted(Path(sdk_python()).parents[1].glob("lib/python3.*/site-packages"))
    if not found or found[0].parent.name != f"python{PYTHON}":
        pytest.skip(f"the kubeflow SDK is installed for another Python than the image's {PYTHON}")
    return found[0]


def transformers_site() -> Path:
    """Folder with transformers; skips the test where it can't be had."""
    site = engines.CACHE_DIR / "-".join(TRANSFORMERS).replace("==", "-")
    engines.CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with (engines.CACHE_DIR / "transformers.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.exists():
            part = site.with_name(f"{site.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            command = [
                sys.executable, "-m", "pip", "install", "--quiet", "--target", str(part),
                "--python-version", PYTHON, "--only-binary=:all:", *TRANSFORMERS,
            ]  # fmt: skip
            if subprocess.run(command, check=False).returncode != 0:
                pytest.skip("transformers can't be installed")
            part.rename(site)
    return site
