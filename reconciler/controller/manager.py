"""The daemon: one specs folder, one engine, one process. Wires the parts, starts and stops their threads.

Level-triggered throughout: file events, engine events, finished pulls and passed probes do nothing but put a
job's key into the work queue; the pass over the key reads everything again. A resync, every thirty seconds,
finds changes without an event.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import structlog

from reconciler.config import logging_setup
from reconciler.config.settings import Settings
from reconciler.controller.clock import HostClock
from reconciler.controller.controller import CLOSE_PATIENCE, Controller
from reconciler.controller.daemon import malloc_arenas
from reconciler.controller.daemon.config_reload import merge_settings
from reconciler.controller.daemon.engine_connection import connect
from reconciler.controller.daemon.sd_notify import Notifier
from reconciler.controller.daemon.service_report import ServiceReporter
from reconciler.controller.daemon.signals import SignalFlags, install_handlers
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.controller.statemachine.desired_state import JobFilter
from reconciler.errors import EngineUnavailable, ReconcilerError
from reconciler.server.asgi.http_server import Server
from reconciler.sources.folder.folder_source import FolderSource, require_specs_folder
from reconciler.sources.git.git_sync import GitSync
from reconciler.sources.runtimes.available_runtimes import RuntimeRefresher
from reconciler.sources.runtimes.remote_runtimes import RemoteSources
from reconciler.state.locks import hold_daemon_locks
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import shows_guard

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.controller.daemon.webhook import Webhook

Mode = Literal["forever", "once", "wait"]
WORKERS = 16
WORKERS_ONCE = 4
#: Seconds until an engine that does not answer is asked again: doubled up to the last.
FIRST_RETRY = 0.5
LAST_RETRY = 15.0
#: Seconds that passes under way may take when the process ends: whatever is cut off is found again.
EXIT_PATIENCE = 0.2
#: Seconds between messages to the service manager while jobs are being stopped, and what each asks for.
STOP_JOBS_INTERVAL = 1.0
STOP_JOBS_EXTENSION = 30.0
#: Seconds that the passes may take at the end for what trainings have just reported.
LAST_REPORTS_TIMEOUT = 0.3

_log = structlog.get_logger(__name__)


def serve(
    settings: Settings,
    *,
    mode: Mode = "forever",
    on_phase: Callable[[str, Mapping[str, Any]], None] | None = None,
    stop: threading.Event | None = None,
    changed: threading.Event | None = None,
    only: JobFilter | None = None,
    notifier: Notifier | None = None,
    reload: Callable[[], Settings] | None = None,
) -> int:
    """Run until told to stop (SIGTERM, SIGINT, ``stop``), or as far as the mode says.

    Args:
        settings: as chosen by the user.
        mode: ``once``: converge as far as can be done now; ``wait``: until every job has ended.
        on_phase: called with each change of a job's phase, and the status document.
        stop: set by an embedding program that wants the daemon to end.
        changed: set by an embedding program that has just changed the folder.
        only: whether a TrainJob (the raw document) is this daemon's; None: all of the folder's are.
        notifier: to the service manager, when this process is its service.
        reload: reads the configuration again, on SIGHUP; raises ConfigError where it is wrong.

    Returns:
        The exit status: for ``wait`` 0 when every job is Complete, else 1; 0 otherwise.

    Raises:
        StateError: another daemon holds the folder, or the state folder cannot be used.
        EngineUnavailable: in the modes that end, when no engine answers at the start.
        ReconcilerError: in the modes that end, when the folder does not exist; the engine cannot be used.
    """
    patience = EXIT_PATIENCE if stop is None else CLOSE_PATIENCE
    if stop is None:
        # A process of its own: an embedding program's memory is that program's business.
        malloc_arenas.limit_arenas()
    stop = stop or threading.Event()
    flags = SignalFlags()
    install_handlers(stop, flags, reloads=reload is not None)
    with hold_daemon_locks(settings):
        manager = Manager(
            settings,
            controller=Controller(settings, clock=HostClock(), on_phase=on_phase, only=only),
            mode=mode,
            stop=stop,
            changed=changed or threading.Event(),
            notifier=notifier or Notifier(),
            flags=flags,
            reload=reload,
        )
        try:
            return manager.run()
        finally:
            manager.close(patience=patience)


class Manager:
    """See :func:`serve`."""

    def __init__(
        self,
        settings: Settings,
        *,
        controller: Controller,
        mode: Mode,
        stop: threading.Event,
        changed: threading.Event,
        notifier: Notifier,
        flags: SignalFlags,
        reload: Callable[[], Settings] | None,
    ) -> None:
        self._settings = settings
        self._mode = mode
        self._stop = stop
        self._rescan = changed
        self._flags = flags
        self._reload = reload or (lambda: settings)
        self._relist = threading.Event()
        self._closed = False
        self._failure: ReconcilerError | None = None
        self._threads: list[threading.Thread] = []
        self._runtimes = self._refresh_runtimes_from(settings.runtime_sources)
        self._source = FolderSource(
            settings.specs.absolute(),
            fallback_runtimes=self._runtimes.documents,
            clock=time.time,
            allow_empty=settings.allow_empty,
            removed_by_name=controller.state.requested_removals,
            is_guarded=lambda: shows_guard(sidecar_root(settings.specs, settings.status_dir)),
        )
        self._git = self._sync_git() if settings.git is not None else None
        self._controller = controller
        self._notifier = notifier
        self._report = ServiceReporter(
            notifier, controller, workers=self._threads, resync=lambda: self._settings.resync
        )
        self._server = Server()
        self._progress = ProgressService(
            settings,
            reports=controller.progress_reports,
            uid_of=controller.uid_of,
            unfinished=controller.state.unfinished,
            server=self._server,
        )
        controller.use_progress_service(self._progress)

    def run(self) -> int:
        """Work until stopped, or as far as the mode says; returns the exit status."""
        if self._git is not None and self._mode != "forever":
            self._git.sync_once()
        self._check_folder()
        if self._mode == "forever":
            threading.Thread(target=self._keep_connecting, name="engine-connect", daemon=True).start()
        else:
            self._controller.connect(connect(self._settings))
        self._progress.start()
        watcher = self._source.watch(self._rescan.set)
        if self._settings.runtime_sources and self._mode == "once":
            self._runtimes.refresh()
        elif self._settings.runtime_sources:
            self._runtimes.start()
        webhook = self._open_webhook()
        if self._git is not None and self._mode != "once":
            self._git.start(at_once=self._mode == "forever")
        try:
            self._scan()
            for number in range(WORKERS if self._mode != "once" else WORKERS_ONCE):
                self._start_thread(self._controller.run_worker, f"worker-{number}")
            self._start_thread(self._relist_on_request, "relist")
            self._report.ready()
            status = self._loop()
            if self._failure is not None:
                raise self._failure
            return status
        finally:
            if webhook is not None:
                webhook.close()
            self._notifier.stopping("stopping")
            if self._settings.stop_jobs_on_exit and self._stop.is_set():
                self._stop_jobs()
            if self._git is not None:
                self._git.close()
            self._runtimes.close()
            watcher.close()

    def close(self, *, patience: float) -> None:
        """Stop working; containers go on, statuses are written."""
        self._closed = True
        # No report is taken from now on, and those taken are saved: none that was answered with 200 is lost.
        self._progress.close()
        self._server.close()
        self._controller.progress_reports.drain(LAST_REPORTS_TIMEOUT)
        self._controller.close(patience=patience)

    # -- threads

    def _loop(self) -> int:
        """The main thread: scans when files changed, resyncs, writes statuses; returns the exit status."""
        resync_at = time.monotonic() + self._settings.resync
        while not self._stop.is_set():
            self._controller.informer.check_clock()
            wait = min(0.25 if self._mode == "forever" else 0.02, self._controller.state.flush() or 0.25)
            if self._flags.rescan:
                self._flags.rescan = False
                self._rescan_now()
            if self._controller.state.removals_changed():
                self._rescan_now()
            if self._rescan.wait(wait):
                self._rescan.clear()
                self._scan()
            if time.monotonic() >= resync_at:
                resync_at = time.monotonic() + self._settings.resync
                self._scan()
                self._relist.set()
                malloc_arenas.trim_memory()
            if self._flags.reload:
                self._flags.reload = False
                self._reconfigure()
                resync_at = min(resync_at, time.monotonic() + self._settings.resync)
            self._report.tick()
            if self._mode == "forever" or not self._has_converged():
                continue
            if self._mode == "once":
                return 0
            if self._controller.all_ended():
                if suspended := self._controller.suspended_jobs():
                    _log.warning(
                        "suspended jobs not waited for",
                        jobs=suspended,
                        remedy="To run one: reconciler resume NAME, then reconciler run again.",
                    )
                return 0 if self._controller.all_complete() else 1
        return 0 if self._mode == "forever" else 1

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _relist_on_request(self) -> None:
        """A thread of its own: an engine that hangs must not keep the main loop from coming round."""
        while not self._closed:
            if self._relist.wait(1.0):
                self._relist.clear()
                try:
                    with self._controller.liveness.track("the listing of the engine"):
                        self._controller.informer.relist()
                except Exception:  # noqa: BLE001  (see below)
                    # The thread's boundary: without it nothing would be listed any more.
                    _log.exception("internal error", remedy="Please report it.")
                    self._controller.informer.relister.mark_failing()

    def _keep_connecting(self) -> None:
        """Try to connect until an engine answers; from then on its client reconnects by itself."""
        delay, logged = FIRST_RETRY, ""
        while not self._stop.is_set():
            try:
                self._controller.connect(connect(self._settings))
                return
            except EngineUnavailable as error:
                if str(error) != logged:
                    logged = str(error)
                    _log.error("engine unavailable", reason=logged)
                self._controller.set_engine_unavailable(error)
            except ReconcilerError as error:
                # No further try can succeed.
                self._failure = error
                self._stop.set()
                return
            self._stop.wait(delay)
            delay = min(delay * 2, LAST_RETRY)

    def _has_converged(self) -> bool:
        """Whether nothing is left to do now, and no file looks half-written."""
        return self._controller.is_idle() and self._controller.informer.catalog.rescan_at is None

    def _stop_jobs(self) -> None:
        """Stop the jobs (``--stop-jobs-on-exit``); the service manager is asked to wait for grace periods."""
        _log.info("jobs stopping", reason="--stop-jobs-on-exit")
        stopping = threading.Thread(target=self._controller.stop_jobs, name="stop-jobs", daemon=True)
        stopping.start()
        while stopping.is_alive():
            self._notifier.extend_timeout(STOP_JOBS_EXTENSION)
            self._controller.state.flush()
            stopping.join(STOP_JOBS_INTERVAL)

    # -- settings

    def _reconfigure(self) -> None:
        """SIGHUP: go on with what the configuration says now, as far as it may change."""
        self._notifier.reloading("reading the configuration again")
        try:
            result = merge_settings(self._settings, self._reload())
            if result.settings.runtime_sources != self._settings.runtime_sources:
                self._replace_runtime_sources(result.settings.runtime_sources)
        except ReconcilerError as error:
            _log.error("configuration invalid", reason=str(error), remedy="the old one stays in force")
            self._report.ready("the configuration is wrong, the old one is in force")
            return
        if result.need_restart:
            _log.warning("settings need a restart", settings=result.need_restart)
        self._settings = result.settings
        logging_setup.configure_logging(log_format=self._settings.log_format, level=self._settings.log_level)
        self._controller.reconfigure(self._settings)
        self._source.set_allow_empty(self._settings.allow_empty)
        if self._git is not None:
            self._git.reconfigure(self._settings)
        _log.info("configuration reloaded", changed=result.changed)
        self._report.ready("a restart is needed for some settings" if result.need_restart else "")

    # -- manifests and runtimes

    def _check_folder(self) -> None:
        if self._mode != "forever":
            require_specs_folder(self._settings)
        elif not self._settings.specs.is_dir() and self._git is None:
            _log.warning("specs folder missing", specs=str(self._settings.specs))

    def _scan(self) -> None:
        if self._git is None:
            self._controller.update_catalog(self._source.scan())
            return
        # Containers are labelled with the revision: where it changes meanwhile, the folder is read again.
        revision, catalog = self._git.current_revision, self._source.scan()
        while (now := self._git.current_revision) != revision:
            revision, catalog = now, self._source.scan()
        self._controller.update_source_revision(self._git.source_revision(revision))
        self._controller.update_catalog(catalog)

    def _rescan_now(self) -> None:
        """Fetch the repository, or read the folder, without waiting until it is time."""
        if self._git is not None:
            self._git.sync_soon()
        self._rescan.set()

    def _sync_git(self) -> GitSync:
        return GitSync(
            self._settings,
            runtimes=lambda: self._runtimes.documents,
            on_change=self._rescan.set,
            clock=time.time,
            stop=self._stop,
        )

    def _open_webhook(self) -> Webhook | None:
        if self._git is None or not self._settings.git_webhook or self._mode == "once":
            return None
        from reconciler.controller.daemon.webhook import Webhook  # noqa: PLC0415  (most daemons have none)

        return Webhook(self._settings, on_push=self._rescan_now)

    def _refresh_runtimes_from(self, sources: tuple[str, ...]) -> RuntimeRefresher:
        return RuntimeRefresher(
            RemoteSources.from_environment(sources, clock=time.time), on_change=self._update_runtimes
        )

    def _update_runtimes(self, runtimes: Sequence[Document]) -> None:
        self._source.set_fallback_runtimes(runtimes)
        self._rescan.set()

    def _replace_runtime_sources(self, sources: tuple[str, ...]) -> None:
        refresher = self._refresh_runtimes_from(sources)
        self._runtimes.close()
        self._runtimes = refresher
        self._update_runtimes(refresher.documents)
        if sources:
            refresher.start()
