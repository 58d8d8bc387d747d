"""Checks of ``reconciler doctor``: what one is, and where it looks.

A check looks at one thing, never changes anything that stays, and says how to mend what is amiss. Facts come
in through :class:`Machine`, so that every verdict can be tested without a broken machine.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: of the thing looked at.
        status: ``warn`` is for what works, but not all of it or not for long.
        detail: what was found.
        remedy: how to mend it; empty when all is well.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def _user_name() -> str:
    import getpass  # noqa: PLC0415

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a uid without an entry, as in many containers


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the checks look.

    Attributes:
        root: of the file system, ``/``.
        uid: of this process.
        user: its name.
        disk_free: bytes free on the file system of a path.
        now: seconds since the epoch.
    """

    root: Path = Path("/")
    uid: int = field(default_factory=os.getuid)
    user: str = field(default_factory=_user_name)
    disk_free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    now: Callable[[], float] = time.time

    def text(self, path: str) -> str | None:
        """A small file's text; None when it is not there or closed to us."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is something at the path."""
        return (self.root / path.lstrip("/")).exists()


def as_data(check: Check) -> dict[str, Any]:
    """For ``-o json``."""
    return {"name": check.name, "status": check.status, "detail": check.detail, "remedy": check.remedy}
