"""Facts about this machine: files, programs, user, clock, and how packages are installed.

The checks of ``doctor`` and the service commands ask here, so that every outcome can be tested with a
:class:`Machine` of a test's own files.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

#: Folders that programs are looked for in, whatever ``PATH`` this process has.
PROGRAM_FOLDERS: Final = (
    "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "bin", "sbin", "opt/homebrew/bin",
)  # fmt: skip
#: Families of /etc/os-release, how they install, and whose names of packages they use.
INSTALLERS: Final = (
    ("debian", "apt-get install -y", "apt"),
    ("fedora", "dnf install -y", "dnf"),
    ("rhel", "dnf install -y", "dnf"),
    ("suse", "zypper install -y", "zypper"),
    ("arch", "pacman -S --needed", "pacman"),
)
#: ``STA_UNSYNC`` of the kernel's ``struct timex``.
_STA_UNSYNC: Final = 0x40


def _user_name() -> str:
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


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``; nothing is set where ``modes`` is 0."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def _is_clock_synchronized() -> bool | None:
    """The kernel knows it whichever program synchronizes the clock, and says so in a container as well."""
    timex = _Timex()
    try:
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        return None
    return None if result < 0 else not timex.status & _STA_UNSYNC


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine, or a test's stand-in for it.

    Attributes:
        root: of the file system, ``/``.
        uid: of this process.
        user: its name.
        disk_free: bytes free on the file system of a path.
        now: seconds since the epoch.
        platform: as ``sys.platform`` has it.
        run: what a command prints; None when it is missing or fails.
        is_clock_synchronized: None where the kernel does not say.
    """

    root: Path = Path("/")
    uid: int = field(default_factory=os.getuid)
    user: str = field(default_factory=_user_name)
    disk_free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    now: Callable[[], float] = time.time
    platform: str = sys.platform
    run: Callable[[Sequence[str]], str | None] = _run
    is_clock_synchronized: Callable[[], bool | None] = _is_clock_synchronized

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs the machine."""
        return self.exists("run/systemd/system")

    def path(self, path: str) -> Path:
        """Returns the path under the root."""
        return self.root / path.lstrip("/")

    def exists(self, path: str) -> bool:
        """Whether something is at the path, as far as this user may see."""
        try:
            return self.path(path).exists()
        except OSError:
            return False

    def read(self, path: str) -> str | None:
        """Returns a small file's text; None when it does not exist or this user may not read it."""
        try:
            return self.path(path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def find_program(self, name: str) -> str:
        """Returns the path of a program under the root; "" when it is in none of the usual folders."""
        return next((path for folder in PROGRAM_FOLDERS if self.exists(path := f"{folder}/{name}")), "")

    def install_command(self, packages: Mapping[str, str]) -> str:
        """Returns the command that installs packages here, or a sentence that names them.

        Args:
            packages: names by package manager: ``apt``, ``dnf``, ``zypper``, ``pacman``.
        """
        release = self.read("etc/os-release") or ""
        words = re.findall(r"^(?:ID|ID_LIKE)=(.*)$", release, re.MULTILINE)
        families = {part for word in words for part in word.strip("\"'").split()}
        for family, command, manager in INSTALLERS:
            if family in families and manager in packages:
                return f"sudo {command} {packages[manager]}"
        return f"Install {packages['apt'].replace(' ', ', ')}"
