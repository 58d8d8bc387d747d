"""A service manager's end of the sd_notify protocol, for daemons that tests start by hand."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.workspaces import eventually


@dataclass
class Manager:
    """What it has been told, in order: fields of each datagram, and when."""

    told: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """All values of a field so far."""
        return [fields[name] for _, fields in list(self.told) if name in fields]

    def until(self, name: str, value: str, *, seconds: float = 60.0) -> None:
        """Wait for a value of a field that has the text in it."""
        eventually(
            lambda: any(value in v for v in self.values(name)),
            f"{name} with {value!r}: {self.told[-5:]}",
            seconds=seconds,
        )

    def pinged_since(self, moment: float) -> bool:
        """Whether there was a sign of life after a monotonic time."""
        return any("WATCHDOG" in fields and at > moment for at, fields in list(self.told))

    def until_silent(self, quiet: float, *, seconds: float = 60.0) -> None:
        """Wait until no sign of life has come for so long: when a real manager would act."""
        eventually(lambda: not self.pinged_since(time.monotonic() - quiet), "the pings stop", seconds=seconds)

    def longest_silence(self, since: float, until: float) -> float:
        """Longest time between two signs of life."""
        pings = [at for at, fields in list(self.told) if "WATCHDOG" in fields and since < at < until]
        moments = [since, *pings, until]
        return max(after - before for before, after in pairwise(moments))


@contextlib.contextmanager
def manager(
    monkeypatch: pytest.MonkeyPatch, *, watchdog: float | None = None, abstract: bool = False
) -> Iterator[Manager]:
    """A manager that daemons started in the ``with`` block speak to."""
    # A path in the test's folder may be too long for a socket's address.
    name = f"reconciler-manager-{time.monotonic_ns()}"
    address, shown = (f"\0{name}", f"@{name}") if abstract else (f"/tmp/{name}", f"/tmp/{name}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(0.2)
    monkeypatch.setenv("NOTIFY_SOCKET", shown)
    if watchdog is not None:
        monkeypatch.setenv("WATCHDOG_USEC", str(round(watchdog * 1e6)))
    else:
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    one, closed = Manager(), threading.Event()

    def listen() -> None:
        while not closed.is_set():
            with contextlib.suppress(TimeoutError):
                text = listener.recv(65536).decode()
                fields = dict(line.split("=", 1) for line in text.splitlines())
                one.told.append((time.monotonic(), fields))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        closed.set()
        thread.join(5)
        listener.close()
        if not abstract:
            Path(address).unlink()
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
