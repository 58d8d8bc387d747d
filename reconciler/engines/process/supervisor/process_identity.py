"""Identifies processes: the kernel reuses process ids, but not an id together with its start time.

What can go wrong: between the check of an identity and a signal the process may end and its id be given to
another. The window is a few microseconds, and ids are handed out in a circle, so that an id just freed is the
last to be reused.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LINUX = sys.platform.startswith("linux")

#: In the environment of everything a container runs: finds processes that left its process group.
MARKER = "RECONCILER_CONTAINER_ID"

_STAT_STATE, _STAT_PPID, _STAT_PGRP, _STAT_START = 0, 1, 2, 19
_boot: list[str] = []


def _boot_id() -> str:
    if not _boot:
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                _boot.append(file.read().strip())
        except OSError:
            _boot.append("")
    return _boot[0]


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` after the program's name (which may hold spaces and brackets)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()
    except OSError:
        return None


def _ps(pid: int, columns: str) -> str:
    import subprocess  # noqa: PLC0415  (10 ms that Linux never needs)

    done = subprocess.run(  # noqa: PLW1510  (a failure means that the process has ended)
        ["ps", "-o", columns, "-p", str(pid)],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", **os.environ},
    )
    return " ".join(done.stdout.split())


def identity(pid: int) -> str:
    """Returns a text that no other process of the same id has; "" where it has ended (or is a zombie)."""
    if LINUX:
        fields = _stat(pid)
        if fields is None or fields[_STAT_STATE] in "ZX":
            return ""
        return f"{_boot_id()}/{fields[_STAT_START]}"
    text = _ps(pid, "stat=,lstart=")
    state, _, started = text.partition(" ")
    return "" if not text or state.startswith("Z") else started


def is_alive(pid: int, known: str) -> bool:
    """Whether process ``pid`` still has the identity ``known``."""
    return pid > 0 and known != "" and identity(pid) == known


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped (paused) the process."""
    if LINUX:
        fields = _stat(pid)
        state = fields[_STAT_STATE] if fields is not None else ""
        # A shell in vfork sleeps until its child calls exec, and that child has been stopped.
        return state == "T" or (state == "D" and _stop_pending(pid))
    return _ps(pid, "stat=").startswith("T")


def _stop_pending(pid: int) -> bool:
    bit = 1 << (signal.SIGSTOP - 1)
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return False
    return any(int(words[1], 16) & bit for words in lines if words[0] in {"SigPnd:", "ShdPnd:"})


def children(pid: int) -> list[int]:
    """Returns direct children, zombies included; Linux only, empty elsewhere."""
    found = []
    for other in _pids():
        fields = _stat(other)
        if fields is not None and int(fields[_STAT_PPID]) == pid:
            found.append(other)
    return found


def find_marked(container_id: str) -> list[int]:
    """Returns processes with a container's marker in their environment; Linux only, empty elsewhere."""
    needle = f"{MARKER}={container_id}".encode()
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if needle in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            continue  # ended meanwhile, or of another user: not the container's either way
    return found


def _pids() -> Iterator[int]:
    if not LINUX:
        return
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def signal_process(pid: int, number: int) -> None:
    """Signals one process; an ended one is not an error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def signal_group(group: int, number: int) -> None:
    """Signals a process group; an ended one is not an error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        pass
