"""Looks at paths of the host, in threads of their own and with a limit: a file system may never answer.

A dead NFS server, a FUSE program that hangs: whoever asks for a path there waits for ever, and no signal ends
it. So a look has a thread of its own, which is abandoned after :data:`LOOK_SECONDS`; while it hangs, no
other thread is sent to the same file system, and every look there fails at once with
:class:`UnansweredError`. The abandoned thread is the probe: when it comes back, the file system answers
again. The mounts are known from ``/proc/self/mountinfo``, which asks no file system.

What can go wrong: a file system that is only slow (a disk that spins up) is reported as one that does not
answer, and the next look succeeds. A thread that is already inside when the file system dies is not counted.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
#: Called with each path before it is asked for.
Step = Callable[[str], None]

#: Seconds that a look may take.
LOOK_SECONDS: Final = 5.0
#: Seconds after which a look under way keeps others from the same file system.
SUSPECT_SECONDS: Final = 0.1
#: Seconds that others wait for it then, where the file system depends on a server or a program: they may be
#: needed elsewhere, and can come again.
REMOTE_PATIENCE: Final = 1.0
#: Looks under way and abandoned ones; more are refused.
MAX_LOOKS: Final = 64
MAX_LINKS: Final = 40

_LOCAL: Final = frozenset(
    {
        "bcachefs",
        "btrfs",
        "devtmpfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "overlay",
        "proc",
        "sysfs",
        "tmpfs",
        "xfs",
    }
)
_MOUNTS: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


class UnansweredError(OSError):
    """The file system of a path does not answer; ``filename`` is the part of the path that was asked for."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ETIMEDOUT, f"the file system of {path} does not answer", path)


@dataclass(frozen=True, kw_only=True)
class ResolvedPath:
    """What a path of the host is.

    Attributes:
        real: with every link resolved; of a missing path, and of one with an error, as far as can be told.
        facts: of ``real`` itself; None where nothing is there.
        error: why it cannot be told; None where it can.
    """

    real: str
    facts: os.stat_result | None = None
    error: OSError | ValueError | None = None


@dataclass(frozen=True)
class Mount:
    """A mount: its file system's device (``0:39``) and type, both "" where they are unknown."""

    device: str = ""
    kind: str = ""


@dataclass(eq=False)
class _Look(Generic[T]):
    """One look: the path that it asks for now, since when, and that path's mount, once somebody asks."""

    at: str
    asked_at: float
    done: threading.Event = field(default_factory=threading.Event)
    waits: bool = False
    abandoned: bool = False
    result: list[T] = field(default_factory=list)
    error: BaseException | None = None
    mount: tuple[str, Mount] = ("", Mount())

    def mount_now(self) -> Mount:
        """The mount of ``at``, as it was when it was first asked for: it may be unmounted since."""
        at = self.at
        if self.mount[0] != at:
            self.mount = (at, mount_of(at))
        return self.mount[1]


class HostLooks:
    """Looks under way; :data:`LOOKS` are those of this process.

    Args:
        seconds: that a look may take.
    """

    def __init__(self, *, seconds: float = LOOK_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way: list[_Look[Any]] = []

    def run(self, path: str, action: Callable[[Step], T], *, discard: Callable[[T], None] | None = None) -> T:
        """Returns what ``action`` returns, which may be asked to end by its ``step``.

        Args:
            path: of the host, that the action is about.
            action: looks at the host; calls its argument before it turns to another path.
            discard: called with the result of a look that was abandoned (closes a descriptor).

        Raises:
            UnansweredError: it takes too long, or the file system is known not to answer.
            Exception: what ``action`` raises.
        """
        look: _Look[T] = _Look(at=path, asked_at=time.monotonic(), waits=True)
        self._start(look, path, action, discard)
        if not look.done.wait(self._seconds):
            with self._lock:
                look.abandoned = not look.done.is_set()
            if look.abandoned:
                raise UnansweredError(look.at)
        if look.error is not None:
            raise look.error
        return look.result[0]

    def resolve(self, paths: Sequence[str]) -> list[ResolvedPath]:
        """Returns what each path is; ``error`` of one that does not answer is :class:`UnansweredError`."""
        found: list[ResolvedPath] = []

        while len(found) < len(paths):
            rest, part = paths[len(found) :], list[ResolvedPath]()
            try:
                self.run("/", partial(_resolve_all, rest, part))
                found += part
            except UnansweredError as error:
                done = part[: len(rest) - 1]
                failed = os.path.abspath(rest[len(done)])  # noqa: PTH100
                found += [*done, ResolvedPath(real=failed, error=error)]
        return found

    def _start(
        self, look: _Look[T], path: str, action: Callable[[Step], T], discard: Callable[[T], None] | None
    ) -> None:
        with self._lock:
            if len(self._under_way) >= MAX_LOOKS:
                raise UnansweredError(path)
            self._under_way.append(look)

        def step(at: str) -> None:
            look.waits = True  # for others, perhaps: it asks for nothing itself
            self._check(look, at)
            look.at, look.asked_at, look.waits = at, time.monotonic(), False

        def work() -> None:
            try:
                step(path)
                look.result.append(action(step))
            except BaseException as error:  # noqa: BLE001  (it is raised in the caller's thread)
                look.error = error
            with self._lock:
                self._under_way.remove(look)
                look.done.set()
            if look.abandoned and look.result and discard is not None:
                discard(look.result[0])

        try:
            threading.Thread(target=work, name="host-look", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._under_way.remove(look)
            raise UnansweredError(path) from None

    def _check(self, look: _Look[Any], at: str) -> None:
        """Wait for a look at the same file system that takes suspiciously long; raise if it does not end."""
        now = time.monotonic()
        with self._lock:
            suspects = [
                other
                for other in self._under_way
                if other is not look and not other.waits and now - other.asked_at > SUSPECT_SECONDS
            ]
        mount = mount_of(at) if suspects else Mount()
        patience = self._seconds if mount.kind in _LOCAL else min(REMOTE_PATIENCE, self._seconds)
        for other in suspects:
            if other.mount_now().device != mount.device:
                continue
            if not other.done.wait(0.0 if other.abandoned else max(0.0, other.asked_at + patience - now)):
                raise UnansweredError(at)
        if look.abandoned:
            raise UnansweredError(at)


def mount_of(path: str) -> Mount:
    """Returns the mount that a path without links is on."""
    best, mount = b"", Mount()
    wanted = os.fsencode(path)
    with suppress(OSError), open(_MOUNTS, "rb") as mounts:  # noqa: PTH123  (asked often)
        for line in mounts:
            words = line.split(b" ", 5)
            point = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), words[4])
            # Of two mounts at one place the later one counts.
            if len(point) >= len(best) and (wanted == point or wanted.startswith(point.rstrip(b"/") + b"/")):
                kind = words[5].partition(b" - ")[2].partition(b" ")[0]
                best, mount = point, Mount(words[2].decode(), kind.decode(errors="replace"))
    return mount


def _resolve_all(paths: Sequence[str], into: list[ResolvedPath], step: Step) -> None:
    for path in paths:
        try:
            into.append(_resolve(path, step))
        except UnansweredError:
            raise
        except (OSError, ValueError) as error:
            into.append(ResolvedPath(real=os.path.abspath(path), error=error))  # noqa: PTH100


def _resolve(path: str, step: Step) -> ResolvedPath:
    """As ``os.path.realpath`` and ``os.lstat`` do, with a step before each call."""
    todo = [part for part in os.path.abspath(path).split("/") if part][::-1]  # noqa: PTH100
    current, links, missing = "/", 0, False
    # Of a path with `..` behind a link, abspath() would take another way than the kernel.
    if ".." in path.split("/"):
        start = "" if path.startswith("/") else os.getcwd()  # noqa: PTH109
        todo = [part for part in f"{start}/{path}".split("/") if part not in {"", "."}][::-1]
    while todo:
        part = todo.pop()
        if part == "..":
            current = os.path.dirname(current)  # noqa: PTH120
            continue
        current = f"{current.rstrip('/')}/{part}"
        step(current)
        try:
            facts = os.lstat(current)
            target = os.readlink(current) if stat.S_ISLNK(facts.st_mode) else None  # noqa: PTH115
        except (FileNotFoundError, NotADirectoryError):
            missing = True
            continue
        except OSError as error:
            return ResolvedPath(real="/".join([current, *reversed(todo)]), error=error)
        if target is None:
            continue
        links += 1
        if links > MAX_LINKS:
            loop = OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            return ResolvedPath(real="/".join([current, *reversed(todo)]), error=loop)
        current = "/" if target.startswith("/") else os.path.dirname(current)  # noqa: PTH120
        todo += [each for each in target.split("/") if each not in {"", "."}][::-1]
    step(current)
    return ResolvedPath(real=current, facts=None if missing else os.lstat(current))


#: The looks of this process.
LOOKS: Final = HostLooks()
