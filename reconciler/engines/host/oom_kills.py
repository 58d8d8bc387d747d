"""Which containers the kernel killed for memory, from the kernel's own log.

Under cgroup v1 the engines learn of an OOM kill by an event that races with the container's exit: Podman 4.3
misses nearly all when several containers run, Docker 20.10 some. The kernel's log has each ("Killed process
123 (python3)"; the memory group only now and then, as that line is rate-limited). Best effort: root may read
it, others as ``kernel.dmesg_restrict`` says; it knows nothing of an engine on another host.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

_LOG: Final = Path("/dev/kmsg")
_RECORD: Final = re.compile(rb"^\d+,\d+,(\d+),[^;]*;(.*)", re.DOTALL)
_KILLED: Final = re.compile(rb"Memory cgroup out of memory: Killed process (\d+) ")
_GROUP: Final = re.compile(rb"oom-kill:constraint=CONSTRAINT_MEMCG.*?task_memcg=([^,]+),")

#: How far a kill may lie outside the container's own times, in seconds.
_TOLERANCE: Final = 5.0


@dataclass(frozen=True)
class _Kill:
    time: float
    pid: int
    group: str


class KernelOomLog:
    """The OOM kills in the kernel's log; each query reads on from where the last one stopped."""

    def __init__(self, path: Path = _LOG) -> None:
        self._path = path
        self._lock = Lock()
        self._fd: int | None = None
        self._unreadable = False
        self._kills: deque[_Kill] = deque(maxlen=2048)

    def has_kill(self, container: str, *, pid: int, started: float | None, finished: float | None) -> bool:
        """Reports whether a process of the container was killed for its cgroup's memory.

        Args:
            container: id, which is in the memory group's name.
            pid: of the container's main process on the host; 0 when that is not known.
            started: seconds since the epoch; pids are reused.
            finished: likewise.
        """
        with self._lock:
            self._read_new()
            kills = list(self._kills)
        return any(
            container in kill.group
            or (
                pid > 0
                and kill.pid == pid
                and (started or 0) - _TOLERANCE <= kill.time <= (finished or kill.time) + _TOLERANCE
            )
            for kill in kills
        )

    def _read_new(self) -> None:
        if self._unreadable:
            return
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
            while True:
                self._parse(os.read(self._fd, 8192))
        except BlockingIOError:
            return  # all is read
        except BrokenPipeError:
            self._read_new()  # records were overwritten: goes on with the oldest there is
        except OSError:
            self._unreadable = True

    def _parse(self, record: bytes) -> None:
        if not record:
            raise BlockingIOError  # an ordinary file's end, as of a test's
        match = _RECORD.match(record)
        if match is None:
            return
        age = time.clock_gettime(time.CLOCK_MONOTONIC) - int(match[1]) / 1e6
        moment = time.time() - age
        if killed := _KILLED.search(match[2]):
            self._kills.append(_Kill(moment, int(killed[1]), ""))
        elif group := _GROUP.search(match[2]):
            self._kills.append(_Kill(moment, 0, group[1].decode(errors="replace")))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
