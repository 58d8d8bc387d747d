"""The controller inside a client: runs the jobs of a folder on which no daemon runs.

There is one for each folder in a process, shared by all clients on it, in a thread, for as long as the
process lives. It takes the folder's lock like any daemon; while another process has it, it retries and
touches nothing. At the end of the process it waits until the jobs that were submitted here have started,
stops, and leaves them running for the next client or daemon.

What can go wrong: a second client asks for another engine while jobs run on the first (refused: they would
run twice); the process is killed (the lock is released by the system, the record has the rest).
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from reconciler.client.client_errors import InvalidRequest, NoEngine
from reconciler.client.embedded.controller_logging import configure_controller_logging
from reconciler.common.mappings import mapping_at
from reconciler.common.sanitize import sanitize_line
from reconciler.config.settings import Settings
from reconciler.errors import EngineUnavailable, ReconcilerError, StateError
from reconciler.names import ANNOTATION_SUBMITTED_BY
from reconciler.state.locks import daemon_lock_path, lock_file
from reconciler.state.phases import ENDED_PHASES
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import ObjectStatus, SidecarReader

#: Seconds between two tries for the lock that another process has.
LOCK_RETRY_INTERVAL: Final = 1.0
#: Seconds without a change after which a job that does not start is left to the next controller.
START_TIMEOUT: Final = 20.0
#: Seconds to wait for the controller's thread to end.
JOIN_TIMEOUT: Final = 15.0
#: Phases of a job whose containers are not all started.
STARTING_PHASES: Final = frozenset({"", "Pending", "Pulling", "Initializing"})

_log = logging.getLogger(__name__)
_controllers: dict[str, EmbeddedController] = {}
_controllers_lock = threading.Lock()


def ensure_controller(settings: Settings, *, all_jobs: bool) -> EmbeddedController:
    """Returns the process's controller of a folder, started unless it runs; it works with these settings now.

    Args:
        settings: of the client that asks; the last one's are in force.
        all_jobs: run all jobs of the folder; False: those that clients have submitted.

    Raises:
        NoEngine: no engine answers, and no daemon runs on the folder.
        InvalidRequest: jobs of the folder run on another engine.
        StateError: the state folder cannot be used.
    """
    with _controllers_lock:
        controller = _controllers.get(settings.instance)
        if controller is None:
            controller = _controllers[settings.instance] = EmbeddedController()
            _close_at_exit()
        controller.start(settings, all_jobs=all_jobs)
        return controller


@cache
def _close_at_exit() -> None:
    """Registers that all controllers are closed at the end of the process.

    Before the executors that they work with are shut down, which is earlier than :mod:`atexit`: by the hook
    of ``concurrent.futures`` itself. It has no public name, so :mod:`atexit` serves a Python without it.
    """
    import concurrent.futures.thread  # noqa: F401, PLC0415  (its hook is registered first, and called last)

    register = getattr(threading, "_register_atexit", atexit.register)
    register(close_controllers)


def close_controllers() -> None:
    """Stops all controllers, once the jobs that were submitted here have started."""
    with _controllers_lock:
        controllers = list(_controllers.values())
        _controllers.clear()
    for controller in controllers:
        controller.close()


def close_controller(instance: str) -> None:
    """Stops the controller of a folder; the next call that needs one starts it again."""
    with _controllers_lock:
        controller = _controllers.pop(instance, None)
    if controller is not None:
        controller.close()


class EmbeddedController:
    """The thread that runs the jobs of one folder; see the module."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._all_jobs = True
        self._stop = threading.Event()
        self._rescan = threading.Event()
        self._thread: threading.Thread | None = None
        #: Set while this process has the lock, or is about to take it.
        self._serving = threading.Event()
        self._submitted: dict[str, Path] = {}
        self._listeners: list[Callable[[], None]] = []

    # -- for clients

    def start(self, settings: Settings, *, all_jobs: bool) -> None:
        """Starts the thread, again where the settings differ; see :func:`ensure_controller`."""
        running = self._thread is not None and self._thread.is_alive()
        if running and (settings, all_jobs) == (self._settings, self._all_jobs):
            return
        locked = is_locked_by_others(settings) if not self._serving.is_set() else False
        if running and locked:
            self._settings, self._all_jobs = settings, all_jobs
            return
        chosen = settings if locked else _with_engine_in_use(settings)
        if not locked:
            _require_engine(chosen)
        self._stop_thread()
        self._settings, self._all_jobs = settings, all_jobs
        self._stop = threading.Event()
        arguments = (chosen, all_jobs, self._stop)
        self._thread = threading.Thread(target=self._run, args=arguments, name="reconciler", daemon=True)
        # From now on, not from when the thread gets there: a program may end before.
        self._serving.set()
        self._thread.start()

    def add_submitted(self, key: str, manifest: Path) -> None:
        """Has the folder scanned for a new manifest; :meth:`close` then waits until its job has started."""
        self._submitted[key] = manifest
        self._rescan.set()

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Has ``listener`` called whenever a job's phase changes."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """Undoes :meth:`add_listener`."""
        self._listeners.remove(listener)

    def close(self) -> None:
        """Waits until submitted jobs have started, then stops; containers keep running."""
        if self._serving.is_set():
            self._wait_until_started()
        self._stop_thread()

    # -- the thread

    def _run(self, settings: Settings, all_jobs: bool, stop: threading.Event) -> None:
        from reconciler.controller.manager import serve  # noqa: PLC0415  (imports the engines' clients)

        configure_controller_logging()
        only = None if all_jobs else _is_submitted_by_client
        while not stop.is_set():
            self._serving.set()
            try:
                serve(settings, stop=stop, changed=self._rescan, on_phase=self._on_phase, only=only)
            except ReconcilerError as error:
                if not isinstance(error.__cause__, BlockingIOError):  # another process has the lock
                    _log.error("the jobs of %s are not run: %s", settings.specs, error)
            finally:
                self._serving.clear()
            stop.wait(LOCK_RETRY_INTERVAL)

    def _on_phase(self, _key: str, _document: Mapping[str, Any]) -> None:
        for listener in list(self._listeners):
            listener()

    def _stop_thread(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT)
            self._thread = None

    def _wait_until_started(self) -> None:
        """Waits for the submitted jobs to start, as long as their status changes."""
        settings = self._settings
        if settings is None or not self._submitted:
            return
        reader = SidecarReader(sidecar_root(settings.specs, settings.status_dir))
        changed_at, last = time.monotonic(), ""
        printed = False
        while starting := _starting_jobs(reader, self._submitted):
            current = repr([(status.phase, status.message) for status in starting.values() if status])
            if current != last:
                changed_at, last = time.monotonic(), current
            names = ", ".join(starting)
            if time.monotonic() - changed_at > START_TIMEOUT:
                _log.warning(
                    "%s not running yet; the next client or daemon on %s continues.", names, settings.specs
                )
                return
            if not printed and time.monotonic() - changed_at > 1:
                printed = True
                sys.stderr.write(
                    f"Waiting for {sanitize_line(names)} to start (Ctrl-C leaves it as it is).\n"
                )
            self._stop.wait(0.05)


def is_locked_by_others(settings: Settings) -> bool:
    """Returns whether another process (or another controller of this one) has the folder's lock now.

    Raises:
        StateError: the lock cannot be opened.
    """
    path = daemon_lock_path(settings)
    if not path.exists():
        return False
    try:
        with lock_file(path, command="TrainerClient"):
            return False
    except StateError as error:
        if isinstance(error.__cause__, BlockingIOError):
            return True
        raise


def _require_engine(settings: Settings) -> None:
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (imports the engines' clients)

    try:
        connect(settings).close()
    except EngineUnavailable as error:
        raise NoEngine(error.message, remedy=error.remedy) from error


def _with_engine_in_use(settings: Settings) -> Settings:
    """The settings, with the engine on which the folder's jobs run where the user leaves it open.

    Raises:
        InvalidRequest: they run on another one than the user wants.
    """
    running = {
        status.name: str(mapping_at(status.status, "engine").get("name", ""))
        for status in SidecarReader(sidecar_root(settings.specs, settings.status_dir)).read().jobs().values()
        if status.phase not in ENDED_PHASES
        and any(n.container_id and n.exit_code is None for n in status.nodes)
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


def _starting_jobs(reader: SidecarReader, jobs: Mapping[str, Path]) -> dict[str, ObjectStatus | None]:
    """The jobs that have not started, with their status; a deleted one does not count."""
    known = reader.read().jobs()
    return {
        key.partition("/")[2]: known.get(key)
        for key, manifest in sorted(jobs.items())
        if manifest.exists() and not _has_started(known.get(key))
    }


def _has_started(status: ObjectStatus | None) -> bool:
    if status is None or status.phase in STARTING_PHASES:
        return False
    return status.phase != "Running" or all(node.state != "pending" for node in status.nodes)


def _is_submitted_by_client(job: Mapping[str, Any]) -> bool:
    return bool(mapping_at(job, "metadata", "annotations").get(ANNOTATION_SUBMITTED_BY))
