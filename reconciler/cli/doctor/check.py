"""Checks of ``reconciler doctor``: what one is, and where it looks.

A check looks at one thing, never changes anything that stays, and says how to mend what is amiss. Facts come
in through :class:`Machine`, so that every verdict can be tested without a broken machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

Status = Literal["ok", "warn", "fail"]

#: Of the kernel's ``STA_*``.
_UNSYNCHRONIZED: Final = 0x40

PROGRAMS: Final = (
    "usr/bin",
    "usr/sbin",
    "usr/local/bin",
    "usr/local/sbin",
    "bin",
    "sbin",
    "opt/homebrew/bin",
)
#: Families of /etc/os-release, how they install, and whose names of packages they use.
INSTALLERS: Final = (
    ("debian", "apt-get install -y", "apt"),
    ("fedora", "dnf install -y", "dnf"),
    ("rhel", "dnf install -y", "dnf"),
    ("suse", "zypper install -y", "zypper"),
    ("arch", "pacman -S --needed", "pacman"),
)


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


def _run(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout


def _synchronized() -> bool | None:
    """The kernel knows, whichever program does it, and tells in a container as well."""
    import ctypes  # noqa: PLC0415

    class Timex(ctypes.Structure):
        """The beginning of ``struct timex``; nothing is set where ``modes`` is 0."""

        _fields_: ClassVar = [
            ("modes", ctypes.c_uint),
            *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_char * 256),
        ]

    asked = Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (AttributeError, OSError):
        return None
    return None if answer < 0 else not asked.status & _UNSYNCHRONIZED


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where the checks look.

    Attributes:
        root: of the file system, ``/``.
        uid: of this process.
        user: its name.
        disk_free: bytes free on the file system of a path.
        now: seconds since the epoch.
        platform: as ``sys.platform`` has it.
        run: what a command prints; None when it is not there or fails.
        synchronized: whether something keeps the clock right; None where the kernel does not tell.
    """

    root: Path = Path("/")
    uid: int = field(default_factory=os.getuid)
    user: str = field(default_factory=_user_name)
    disk_free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    now: Callable[[], float] = time.time
    platform: str = sys.platform
    run: Callable[[Sequence[str]], str | None] = _run
    synchronized: Callable[[], bool | None] = _synchronized

    def text(self, path: str) -> str | None:
        """A small file's text; None when it is not there or closed to us."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def path(self, path: str) -> Path:
        """Where the path is, under the root."""
        return self.root / path.lstrip("/")

    def exists(self, path: str) -> bool:
        """Whether there is something at the path."""
        try:
            return self.path(path).exists()
        except OSError:
            return False  # closed to us

    def program(self, name: str) -> str:
        """Path of a program in the usual folders; "" when it is in none."""
        return next((path for folder in PROGRAMS if self.exists(path := f"{folder}/{name}")), "")

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs the machine."""
        return self.exists("run/systemd/system")

    def install(self, packages: Mapping[str, str]) -> str:
        """The command that installs something here.

        Args:
            packages: names by package manager: ``apt``, ``dnf``, ``zypper``, ``pacman``.
        """
        said = self.text("etc/os-release") or ""
        words = set(re.findall(r"^(?:ID|ID_LIKE)=(.*)$", said, re.MULTILINE))
        families = {part for word in words for part in word.strip("\"'").split()}
        for family, command, manager in INSTALLERS:
            if family in families and manager in packages:
                return f"sudo {command} {packages[manager]}"
        return f"Install {packages['apt'].replace(' ', ', ')}"


def as_data(check: Check) -> dict[str, Any]:
    """For ``-o json``."""
    return {"name": check.name, "status": check.status, "detail": check.detail, "remedy": check.remedy}
