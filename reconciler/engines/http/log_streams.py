"""A container's output over the API: opened once it has started, closable from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.engines.protocol import LogStream

#: Seconds until a followed container that was not started here is inspected, and between later inspects.
FIRST_INSPECT: Final = 0.5
NEXT_INSPECTS: Final = 1.0


class DeferredLogs:
    """A log stream that is opened only when it is read, and only after the container has started.

    Args:
        wait_for_start: returns once the container has started (or the event, set by ``close``, says stop).
        open_logs: opens the output.
    """

    def __init__(
        self, *, wait_for_start: Callable[[threading.Event], None], open_logs: Callable[[], LogStream]
    ) -> None:
        self._wait_for_start = wait_for_start
        self._open_logs = open_logs
        self._logs: LogStream | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self._wait_for_start(self._closed)
        if self._closed.is_set():
            return
        logs = self._open_logs()
        with self._lock:
            self._logs = logs
            closed = self._closed.is_set()
        if closed:
            logs.close()
        yield from logs

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        with self._lock:
            self._closed.set()
            logs = self._logs
        if logs is not None:
            logs.close()


class StartNotifier:
    """Notifies followers of a created container when this process starts it.

    A hint that saves calls: a start by somebody else is found by an inspect once a second. For the same
    reason it remembers which containers this process has created and not started yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = {}
        self._created: dict[str, str] = {}

    def add_created(self, container: str, name: str) -> None:
        """Remembers a container that was created just now."""
        with self._lock:
            self._created[container] = name

    def created_name(self, container: str) -> str | None:
        """Returns the name of a container that was created and not started here; else None."""
        with self._lock:
            return self._created.get(container)

    def forget(self, container: str) -> None:
        """Forgets a container that is removed or whose state is unknown."""
        with self._lock:
            self._created.pop(container, None)

    def notify_started(self, container: str) -> None:
        """Wakes the followers of the container with this name or id."""
        with self._lock:
            self._created.pop(container, None)
            for event in self._waiting.get(container, ()):
                event.set()

    def wait(self, keys: tuple[str, str], is_created: Callable[[], bool], closed: threading.Event) -> None:
        """Returns when the container (``keys``: id and name) is no longer "created", or at ``closed``.

        The caller has just seen it in that state: a notification saves the inspect, and an inspect in the
        middle of a start holds the start up.
        """
        pause = FIRST_INSPECT
        started = threading.Event()
        created_here = self.created_name(keys[0]) is not None
        with self._lock:
            for key in keys:
                self._waiting.setdefault(key, set()).add(started)
        if created_here and self.created_name(keys[0]) is None:
            started.set()  # between the two looks
        try:
            while not closed.is_set() and not started.wait(pause) and is_created():
                pause = NEXT_INSPECTS
        finally:
            with self._lock:
                for key in keys:
                    self._waiting[key].discard(started)
                    if not self._waiting[key]:
                        del self._waiting[key]
