"""The daemon: one specs folder, one engine, one process. Wires the parts together and keeps them going.

Level-triggered throughout: file events, engine events, finished pulls and passed probes do nothing but put a
job's key on the queue; the pass over the key reads everything anew. A resync, every thirty seconds, finds
what no event told of. What goes wrong for one job is that job's trouble: it is told in its status, tried
again with back-off, and holds up nobody else.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import structlog

from reconciler.config import Settings
from reconciler.controller.previewing import Change, preview_folder
from reconciler.controller.work import Work
from reconciler.engines.base import Engine
from reconciler.errors import EngineUnavailable, ReconcilerError
from reconciler.sources.available import RuntimeRefresher, available_runtimes
from reconciler.sources.folder import FolderSource
from reconciler.sources.remote import remote_sources
from reconciler.status.files import FileLock, FolderLock, keep_private

if TYPE_CHECKING:
    from reconciler.api import Document

Mode = Literal["forever", "once", "wait"]
Only = Callable[[Mapping[str, Any]], bool]
WORKERS = 16
FIRST_RETRY = 0.5
LAST_RETRY = 15.0

_log = structlog.get_logger(__name__)


def connect(settings: Settings) -> Engine:
    """The engine that the settings choose.

    Raises:
        EngineUnavailable: none answers; the message says what was tried and how to start one.
    """
    from reconciler.engines import select  # noqa: PLC0415  (imports the engines' clients)

    return select.connect(
        settings.engine,
        settings.container_host,
        address_pool=settings.address_pool,
        state_dir=settings.state_dir.absolute() / "process",
    )


def serve(
    settings: Settings,
    *,
    mode: Mode = "forever",
    on_phase: Callable[[str, Mapping[str, Any]], None] | None = None,
    stop: threading.Event | None = None,
    only: Only | None = None,
) -> int:
    """Run until told to stop (SIGTERM, SIGINT, ``stop``), or as far as the mode says.

    Args:
        settings: as chosen by the user.
        mode: ``once``: converge as far as can be done now; ``wait``: until every job has ended.
        on_phase: told of each change of a job's phase, with the status document.
        stop: set by an embedding program that wants the daemon to end.
        only: whether a TrainJob (the raw document) is this daemon's; None: all of the folder's are.

    Returns:
        The exit status: for ``wait`` 0 when every job is Complete, else 1; 0 otherwise.

    Raises:
        StateError: another daemon holds the folder, or the state folder cannot be used.
        EngineUnavailable: in the modes that end, when no engine answers at the start.
        ReconcilerError: in the modes that end, when the folder is not there.
    """
    stop = stop or threading.Event()
    _handle_signals(stop)
    keep_private(settings.state_dir)
    lock = FileLock(settings.state_dir / "locks" / f"{settings.instance}.lock")
    lock.acquire(command=f"reconciler run --specs {settings.specs}", since=_now_text())
    folder = FolderLock(settings.specs)
    try:
        folder.acquire()
        daemon = Daemon(settings, mode=mode, on_phase=on_phase, stop=stop, only=only)
        try:
            return daemon.run()
        finally:
            daemon.close()
    finally:
        folder.release()
        lock.release()


def preview(settings: Settings) -> list[Change]:
    """What ``run --once`` would do now, touching nothing.

    Raises:
        EngineUnavailable: no engine answers.
        ReconcilerError: the folder is not there.
    """
    runtimes = available_runtimes(settings.runtime_sources, clock=time.time).documents
    source = FolderSource(settings.specs.absolute(), builtin=runtimes, clock=time.time)
    _require_folder(settings)
    engine = connect(settings)
    try:
        return preview_folder(settings, source.scan(patient=False), engine)
    finally:
        engine.close()


def _require_folder(settings: Settings) -> None:
    if not settings.specs.is_dir():
        raise ReconcilerError(
            f"The folder of manifests {settings.specs} is not there.",
            remedy="Make it and put manifests in, or name another one with --specs DIR.",
        )


class Daemon:
    """See :func:`serve`."""

    def __init__(
        self,
        settings: Settings,
        *,
        mode: Mode,
        on_phase: Callable[[str, Mapping[str, Any]], None] | None,
        stop: threading.Event,
        only: Only | None = None,
    ) -> None:
        self._settings = settings
        self._mode = mode
        self._stop = stop
        self._rescan = threading.Event()
        self._runtimes = RuntimeRefresher(
            remote_sources(settings.runtime_sources, clock=time.time), on_change=self._take_runtimes
        )
        self._source = FolderSource(
            settings.specs.absolute(), builtin=self._runtimes.documents, clock=time.time
        )
        self._work = Work(settings, clock=time.time, on_phase=on_phase, only=only)

    def run(self) -> int:
        """Until stopped, or as far as the mode says."""
        self._check_folder()
        if self._mode != "forever":
            self._work.attach(connect(self._settings))
        else:
            threading.Thread(target=self._keep_connecting, name="engine-connect", daemon=True).start()
        watcher = self._source.watch(self._rescan.set)
        if self._settings.runtime_sources and self._mode == "once":
            self._runtimes.look()
        elif self._settings.runtime_sources:
            self._runtimes.start()
        try:
            self._scan()
            workers = WORKERS if self._mode != "once" else 4
            for number in range(workers):
                threading.Thread(target=self._work.loop, name=f"worker-{number}", daemon=True).start()
            return self._oversee()
        finally:
            watcher.close()
            self._runtimes.close()

    def close(self) -> None:
        """Stop working; containers go on, statuses are written out."""
        self._work.close()

    def _oversee(self) -> int:
        """The main thread: scans when files changed, resyncs, writes out gathered statuses, knows the end."""
        resync_at = time.monotonic() + self._settings.resync
        while not self._stop.is_set():
            wait = min(0.25 if self._mode == "forever" else 0.02, self._work.flush() or 0.25)
            if self._rescan.wait(wait):
                self._rescan.clear()
                self._scan()
            if time.monotonic() >= resync_at:
                resync_at = time.monotonic() + self._settings.resync
                self._scan()
                self._work.resync()
            if self._mode == "forever" or not self._settled():
                continue
            if self._mode == "once":
                return 0
            if self._work.all_ended():
                return 0 if self._work.all_complete() else 1
        return 0 if self._mode == "forever" else 1

    def _settled(self) -> bool:
        """Nothing is left to do now, and no file looks half-written."""
        return self._work.at_rest() and self._work.catalog.unsettled_until is None

    def _scan(self) -> None:
        self._work.take(self._source.scan())

    def _take_runtimes(self, runtimes: Sequence[Document]) -> None:
        self._source.replace_builtin(runtimes)
        self._rescan.set()

    def _check_folder(self) -> None:
        if self._mode != "forever":
            _require_folder(self._settings)
        elif not self._settings.specs.is_dir():
            specs = str(self._settings.specs)
            _log.warning("the folder of manifests is not there; waiting for it", specs=specs)

    def _keep_connecting(self) -> None:
        """Until an engine answers; from then on its clients reconnect by themselves."""
        delay = FIRST_RETRY
        told = ""
        while not self._stop.is_set():
            try:
                self._work.attach(connect(self._settings))
            except EngineUnavailable as error:
                if str(error) != told:
                    told = str(error)
                    _log.error("no container engine answers; trying again", reason=told)
                self._work.no_engine(error)
                if self._stop.wait(delay):
                    return
                delay = min(delay * 2, LAST_RETRY)
            except ReconcilerError as error:
                _log.error("the engine cannot be used", reason=str(error))
                self._stop.set()
                return
            else:
                return


def _handle_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT end the daemon in an orderly way, from its very start on."""
    if threading.current_thread() is not threading.main_thread():
        return

    def ask(number: int, _frame: object) -> None:
        _log.info("stopping; the jobs' containers go on", signal=signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def _now_text() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds") + f" (pid {os.getpid()})"
