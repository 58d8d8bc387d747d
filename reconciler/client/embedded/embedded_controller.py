"""The controller inside a client: what runs the jobs of a folder on which no daemon runs.

One for each folder in a process, shared by all clients on it, in a thread, for as long as the process lives.
It takes the folder's lock like any daemon; while somebody else has it, it waits for its turn and touches
nothing. At the end of the process it lets the jobs that were submitted here come up, stops, and leaves them
running for the next client or daemon.

What can go wrong: a second client asks for another engine while jobs run on the first (refused: they would
run twice); the process is killed (the lock goes by itself, the record says the rest).
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.backends.container.types import DEFAULT_SOURCES
from reconciler.client.client_errors import InvalidRequest, NoEngine
from reconciler.errors import EngineUnavailable, ReconcilerError, StateError
from reconciler.names import ANNOTATION_SUBMITTED_BY
from reconciler.state.atomic_files import FileLock
from reconciler.state.sidecar_reader import ENDED, ObjectStatus, SidecarReader, status_root

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

#: Seconds between two tries for the lock that somebody else has.
TURN: Final = 1.0
#: Seconds without any news after which a job that does not come up is left to the next controller.
PATIENCE: Final = 20.0
#: Seconds to wait for the controller's thread to end.
ENDING: Final = 15.0
#: Why jobs wait while the first connection is made.
STARTING: Final = "Waits for the container engine."
#: Phases in which a job needs somebody to bring it up.
COMING_UP: Final = frozenset({"", "Pending", "Pulling", "Initializing"})

_log = logging.getLogger(__name__)
_controllers: dict[str, EmbeddedController] = {}
_guard = threading.Lock()


def ensure_controller(settings: Settings, *, everything: bool) -> EmbeddedController:
    """The process's controller of a folder, started unless it runs; with these settings from now on.

    Args:
        settings: of the client that asks; the last one's are in force.
        everything: run all jobs of the folder; False: those that clients have submitted.

    Raises:
        NoEngine: no engine answers, and no daemon runs on the folder.
        InvalidRequest: jobs of the folder run on another engine.
        StateError: the state folder cannot be used.
    """
    with _guard:
        controller = _controllers.get(settings.instance)
        if controller is None:
            controller = _controllers[settings.instance] = EmbeddedController()
            _close_at_exit()
        controller.use(settings, everything=everything)
        return controller


@cache
def _close_at_exit() -> None:
    """Have all of them closed at the end of the process.

    Before the executors that they work with are shut down, which is earlier than :mod:`atexit`: the hook of
    ``concurrent.futures`` itself. It has no public name, so the late one is there for a Python without it.
    """
    import concurrent.futures.thread  # noqa: F401, PLC0415  (its hook is registered first, and called last)

    register = getattr(threading, "_register_atexit", atexit.register)
    register(close_controllers)


def close_controllers() -> None:
    """End all of them, once the jobs that were submitted here have come up."""
    with _guard:
        controllers = list(_controllers.values())
        _controllers.clear()
    for controller in controllers:
        controller.close()


def close_controller(instance: str) -> None:
    """End the one of a folder; the next call that needs one starts it anew."""
    with _guard:
        controller = _controllers.pop(instance, None)
    if controller is not None:
        controller.close()


class EmbeddedController:
    """See the module."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._everything = True
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._working = threading.Event()
        self._submitted: dict[str, Path] = {}
        self._bells: list[Callable[[], None]] = []

    # -- for clients

    def use(self, settings: Settings, *, everything: bool) -> None:
        """See :func:`ensure_controller`."""
        running = self._thread is not None and self._thread.is_alive()
        if running and (settings, everything) == (self._settings, self._everything):
            return
        others = held_by_others(settings) if not self._working.is_set() else False
        if running and others:
            self._settings, self._everything = settings, everything
            return
        chosen = settings if others else _on_the_engine_in_use(settings)
        if not others:
            _require_engine(chosen)
        self._halt()
        self._settings, self._everything = settings, everything
        self._stop = threading.Event()
        arguments = (chosen, everything, self._stop)
        self._thread = threading.Thread(target=self._run, args=arguments, name="reconciler", daemon=True)
        # From now on, not from when the thread comes to it: a program may end before.
        self._working.set()
        self._thread.start()

    def submitted(self, key: str, manifest: Path) -> None:
        """A manifest was written: it is looked at, and its job not left before it has come up."""
        self._submitted[key] = manifest
        self._changed.set()

    def add_bell(self, bell: Callable[[], None]) -> None:
        """Have ``bell`` called whenever a job's phase changes."""
        self._bells.append(bell)

    def remove_bell(self, bell: Callable[[], None]) -> None:
        """Undo :meth:`add_bell`."""
        self._bells.remove(bell)

    def close(self) -> None:
        """Let submitted jobs come up, then stop; containers go on."""
        if self._working.is_set():
            self._see_off()
        self._halt()

    # -- the thread

    def _run(self, settings: Settings, everything: bool, stop: threading.Event) -> None:
        from reconciler.controller.manager import serve  # noqa: PLC0415  (imports the engines' clients)

        _route_logs()
        only = None if everything else _is_a_clients
        while not stop.is_set():
            self._working.set()
            try:
                serve(settings, stop=stop, changed=self._changed, on_phase=self._ring, only=only)
            except ReconcilerError as error:
                if not isinstance(error.__cause__, BlockingIOError):  # not just somebody else's turn
                    _log.error("the jobs of %s are not looked after: %s", settings.specs, error)
            finally:
                self._working.clear()
            stop.wait(TURN)

    def _ring(self, _key: str, _document: Mapping[str, Any]) -> None:
        for bell in list(self._bells):
            bell()

    def _halt(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(ENDING)
            self._thread = None

    def _see_off(self) -> None:
        """Wait for the submitted jobs to come up, as long as there is news of them."""
        settings = self._settings
        if settings is None or not self._submitted:
            return
        reader = SidecarReader(status_root(settings.specs, settings.status_dir))
        last_news, known = time.monotonic(), ""
        told = False
        while waiting := _coming_up(reader, self._submitted):
            news = repr([(status.phase, status.message) for status in waiting.values() if status])
            if news != known:
                last_news, known = time.monotonic(), news
            if time.monotonic() - last_news > PATIENCE:
                _log.warning(
                    "%s not running yet; the next client or daemon on %s goes on with it.",
                    ", ".join(waiting),
                    settings.specs,
                )
                return
            if not told and time.monotonic() - last_news > 1:
                told = True
                sys.stderr.write(f"Waiting for {', '.join(waiting)} to start (Ctrl-C leaves it as it is).\n")
            self._stop.wait(0.05)


def held_by_others(settings: Settings) -> bool:
    """Whether another process (or another controller of this one) works on the folder now.

    Raises:
        StateError: the lock cannot be opened.
    """
    path = settings.state_dir / "locks" / f"{settings.instance}.lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(command="TrainerClient", since=datetime.now(tz=UTC).isoformat(timespec="seconds"))
    except StateError as error:
        if isinstance(error.__cause__, BlockingIOError):
            return True
        raise
    lock.release()
    return False


def _require_engine(settings: Settings) -> None:
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (imports the engines' clients)

    try:
        connect(settings).close()
    except EngineUnavailable as error:
        raise NoEngine(error.message, remedy=error.remedy) from error


def _on_the_engine_in_use(settings: Settings) -> Settings:
    """The settings, with the engine that the folder's jobs run on where the user leaves it open.

    Raises:
        InvalidRequest: they run on another one than the user wants.
    """
    running = {
        status.name: str((status.status.get("engine") or {}).get("name", ""))
        for status in SidecarReader(status_root(settings.specs, settings.status_dir)).read().jobs().values()
        if status.phase not in ENDED and any(n.container_id and n.exit_code is None for n in status.nodes)
    }
    engines = {engine for engine in running.values() if engine}
    if not engines or engines == {settings.engine}:
        return settings
    if settings.engine == "auto" and len(engines) == 1:
        return replace(settings, engine=engines.pop())  # type: ignore[arg-type]
    raise InvalidRequest(
        f"Jobs of {settings.specs} run on {', '.join(sorted(engines))}: {', '.join(sorted(running))}.",
        remedy=f"Wait for them, delete them, or use another folder for {settings.engine} (specs=...).",
    )


def _coming_up(reader: SidecarReader, jobs: Mapping[str, Path]) -> dict[str, ObjectStatus | None]:
    """Those that are not up, with their status; what was deleted does not count."""
    known = reader.read().jobs()
    return {
        key.partition("/")[2]: known.get(key)
        for key, manifest in sorted(jobs.items())
        if manifest.exists() and not _is_up(known.get(key))
    }


def _is_up(status: ObjectStatus | None) -> bool:
    if status is None or status.phase in COMING_UP:
        return False
    return status.phase != "Running" or all(node.state != "pending" for node in status.nodes)


def _is_a_clients(job: Mapping[str, Any]) -> bool:
    annotations = (job.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get(ANNOTATION_SUBMITTED_BY))


def _drop_no_news(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """That upstream's repository is out of reach, for who did not ask for it; that the engine comes up."""
    default = event.get("event") == "runtime source" and event.get("source") in DEFAULT_SOURCES
    if default or event.get("reason") == STARTING:
        import structlog  # noqa: PLC0415

        raise structlog.DropEvent
    return event


def _route_logs() -> None:
    """What the controller has to say goes where the program's other logging goes, from WARNING on.

    A program that has set structlog up itself is left alone.
    """
    import structlog  # noqa: PLC0415  (0.1 s)

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            _drop_no_news,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"], sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
