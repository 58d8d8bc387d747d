"""Which git will do: an older one does not read the settings that keep a repository's own ones out."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from typing import Final

Version = tuple[int, ...]

#: Takes settings from the environment (``GIT_CONFIG_COUNT``): no hooks, one protocol, the token.
OLDEST: Final[Version] = (2, 31)
#: Checks signatures that were made with ssh keys.
OLDEST_TO_VERIFY: Final[Version] = (2, 34)


def version_in(said: str) -> Version | None:
    """The version in what ``git --version`` prints; None where there is none."""
    found = re.search(r"\bversion (\d+)\.(\d+)(?:\.(\d+))?", said, re.ASCII)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def as_text(version: Version) -> str:
    """As people write it."""
    return ".".join(map(str, version))


@lru_cache(maxsize=8)
def version_of(program: str, _made_at: int) -> Version | None:
    """Of the program at a path, asked once for each that is there; None where it does not tell.

    Args:
        program: its path.
        _made_at: when it was made: another one may take its place while the daemon runs.
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
    return version_in(done.stdout)
