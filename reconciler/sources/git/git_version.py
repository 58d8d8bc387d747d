"""Which versions of git will do: an older one ignores the settings that keep a repository's own ones out."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from typing import Final

Version = tuple[int, ...]

#: Takes settings from the environment (``GIT_CONFIG_COUNT``): no hooks, one protocol, the token.
MIN_VERSION: Final[Version] = (2, 31)
#: Verifies signatures that were made with ssh keys.
MIN_VERSION_FOR_SSH_SIGNATURES: Final[Version] = (2, 34)


def parse_version(text: str) -> Version | None:
    """Parse the output of ``git --version``; None where it has no version."""
    found = re.search(r"\bversion (\d+)\.(\d+)(?:\.(\d+))?", text, re.ASCII)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def format_version(version: Version) -> str:
    """Format a version as people write it."""
    return ".".join(map(str, version))


@lru_cache(maxsize=8)
def installed_version(program: str, _modified_at: int) -> Version | None:
    """The version of a program, which is asked once; None where it does not say.

    Args:
        program: its path.
        _modified_at: when it was modified: another one may take its place while the daemon runs.
    """
    try:
        done = subprocess.run(
            [program, "--version"],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(done.stdout)
