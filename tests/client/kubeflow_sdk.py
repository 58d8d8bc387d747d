"""The kubeflow SDK, in an environment of its own that is made once and kept."""

from __future__ import annotations

import fcntl
import subprocess
import sys

import pytest

from tests.support import engines

KUBEFLOW = "kubeflow[docker,podman]==0.5.0"


def sdk_python() -> str:
    """Returns the interpreter of an environment with the SDK; skips the test where it can't be installed."""
    venv = engines.CACHE_DIR / "kubeflow-0.5.0"
    python = venv / "bin" / "python"
    engines.CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with (engines.CACHE_DIR / "kubeflow.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=False)
            pip = [str(python), "-m", "pip", "install", "--quiet", KUBEFLOW]
            if made.returncode != 0 or subprocess.run(pip, check=False).returncode != 0:
                pytest.skip("the kubeflow SDK can't be installed, so there is nothing to compare with")
            (venv / "complete").touch()
    return str(python)
