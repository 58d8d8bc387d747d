"""The daemon: one specs folder, one engine, one process. Wires the parts together and keeps them going.

Level-triggered throughout: file events, engine events, finished pulls and passed probes do nothing but put a
job's key on the queue; the pass over the key reads everything anew. A resync, every thirty seconds, finds
what no event told of. What goes wrong for one job is that job's trouble: it is told in its status, tried
again with back-off, and holds up nobody else.
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
from reconciler.controller.controller import LAST_PASSES, Work
from reconciler.controller.daemon import malloc_arenas
from reconciler.controller.daemon.config_reload import reloaded
from reconciler.controller.daemon.engine_connection import connect, keep_trying
from reconciler.controller.daemon.folder_lock import require_folder, sole_use
from reconciler.controller.daemon.sd_notify import Notifier
from reconciler.controller.daemon.service_report import Report
from reconciler.controller.daemon.signals import Hangup, handle_signals, on_usr1
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.errors import ReconcilerError
from reconciler.server.http_server import Server
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.git.git_sync import Follower
from reconciler.sources.runtimes.available_runtimes import RuntimeRefresher
from reconciler.sources.runtimes.remote_runtimes import remote_sources

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.controller.daemon.webhook import Webhook

Mode = Literal["forever", "once", "wait"]
Only = Callable[[Mapping[str, Any]], bool]
WORKERS = 16
#: Seconds that passes under way may take when the process ends: whatever is cut off is found again.
ENDING = 0.2
#: Seconds between assurances to the service manager while jobs are being stopped, and what each asks for.
STOPPING_EVERY = 1.0
STOPPING_TAKES = 30.0
#: Seconds that the passes may take at the end for what trainings have just reported.
LAST_REPORTS = 0.3

_log = structlog.get_logger(__name__)


def serve(
    settings: Settings,
    *,
    mode: Mode = "forever",
    on_phase: Callable[[str, Mapping[str, Any]], None] | None = None,
    stop: threading.Event | None = None,
    changed: threading.Event | None = None,
    only: Only | None = None,
    notifier: Notifier | None = None,
    reload: Callable[[], Settings] | None = None,
) -> int:
    """Run until told to stop (SIGTERM, SIGINT, ``stop``), or as far as the mode says.

    Args:
        settings: as chosen by the user.
        mode: ``once``: converge as far as can be done now; ``wait``: until every job has ended.
        on_phase: told of each change of a job's phase, with the status document.
        stop: set by an embedding program that wants the daemon to end.
        changed: set by an embedding program that has just changed the folder, so that nobody has to notice.
        only: whether a TrainJob (the raw document) is this daemon's; None: all of the folder's are.
        notifier: to the service manager, when this process is its service.
        reload: reads the configuration again, on SIGHUP; raises ConfigError where it is wrong.

    Returns:
        The exit status: for ``wait`` 0 when every job is Complete, else 1; 0 otherwise.

    Raises:
        StateError: another daemon holds the folder, or the state folder cannot be used.
        EngineUnavailable: in the modes that end, when no engine answers at the start.
        ReconcilerError: in the modes that end, when the folder is not there; the engine cannot be used.
    """
    patience = ENDING if stop is None else LAST_PASSES
    if stop is None:
        # Its own process: an embedding program's memory is that program's business.
        malloc_arenas.share_arenas()
    stop = stop or threading.Event()
    hangup = Hangup()
    handle_signals(stop, hangup if reload is not None else None)
    with sole_use(settings):
        daemon = Daemon(
            settings,
            mode=mode,
            on_phase=on_phase,
            stop=stop,
            changed=changed or threading.Event(),
            only=only,
            notifier=notifier or Notifier(),
        )
        if reload is not None:
            daemon.reload_on(hangup, reload)
        try:
            return daemon.run()
        finally:
            daemon.close(patience=patience)


class Daemon:
    """See :func:`serve`."""

    def __init__(
        self,
        settings: Settings,
        *,
        mode: Mode,
        on_phase: Callable[[str, Mapping[str, Any]], None] | None,
        stop: threading.Event,
        changed: threading.Event,
        only: Only | None = None,
        notifier: Notifier,
    ) -> None:
        self._settings = settings
        self._mode = mode
        self._stop = stop
        self._rescan = changed
        self._asked = False
        self._runtimes = RuntimeRefresher(
            remote_sources(settings.runtime_sources, clock=time.time), on_change=self._take_runtimes
        )
        self._source = FolderSource(
            settings.specs.absolute(),
            builtin=self._runtimes.documents,
            clock=time.time,
            may_be_empty=settings.allow_empty,
        )
        self._work = Work(settings, clock=HostClock(), on_phase=on_phase, only=only)
        self._git = self._follower(settings) if settings.git is not None else None
        on_usr1(self._ask)
        self._relist = threading.Event()
        self._closed = False
        self._hangup = Hangup()
        self._reload: Callable[[], Settings] = lambda: settings
        self._failure: ReconcilerError | None = None
        self._threads: list[threading.Thread] = []
        self._report = Report(
            notifier, self._work, workers=self._threads, resync=lambda: self._settings.resync
        )
        self._server = Server()
        self._progress = ProgressService(
            settings,
            inbox=self._work.inbox,
            uid_of=self._work.uid_of,
            live=self._work.unfinished,
            server=self._server,
        )
        self._work.hear(self._progress)

    def reload_on(self, hangup: Hangup, reload: Callable[[], Settings]) -> None:
        """Read the configuration again whenever it was asked for."""
        self._hangup, self._reload = hangup, reload

    def run(self) -> int:
        """Until stopped, or as far as the mode says."""
        if self._git is not None and self._mode != "forever":
            self._git.look()
        self._check_folder()
        if self._mode != "forever":
            self._work.attach(connect(self._settings))
        else:
            threading.Thread(target=self._keep_connecting, name="engine-connect", daemon=True).start()
        self._progress.start()
        watcher = self._source.watch(self._rescan.set)
        if self._settings.runtime_sources and self._mode == "once":
            self._runtimes.look()
        elif self._settings.runtime_sources:
            self._runtimes.start()
        hook = self._open_webhook()
        if self._git is not None and self._mode != "once":
            self._git.start(at_once=self._mode == "forever")
        try:
            self._scan()
            workers = WORKERS if self._mode != "once" else 4
            for number in range(workers):
                self._start(self._work.loop, f"worker-{number}")
            self._start(self._keep_relisting, "relist")
            self._report.ready()
            status = self._oversee()
            if self._failure is not None:
                raise self._failure
            return status
        finally:
            if hook is not None:
                hook.close()
            self._report.stopping("stopping")
            if self._settings.stop_jobs_on_exit and self._stop.is_set():
                self._stop_jobs()
            if self._git is not None:
                self._git.close()
            self._runtimes.close()
            watcher.close()

    def close(self, *, patience: float) -> None:
        """Stop working; containers go on, statuses are written out."""
        self._closed = True
        # Nothing is taken from now on, and what was is kept: nobody loses what was answered with 200.
        self._progress.close()
        self._server.close()
        self._work.inbox.drain(LAST_REPORTS)
        self._work.close(patience=patience)

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _oversee(self) -> int:
        """The main thread: scans when files changed, resyncs, writes out gathered statuses, knows the end."""
        resync_at = time.monotonic() + self._settings.resync
        while not self._stop.is_set():
            self._work.mind_clock()
            wait = min(0.25 if self._mode == "forever" else 0.02, self._work.flush() or 0.25)
            if self._asked:
                self._asked = False
                self.look_now()
            if self._rescan.wait(wait):
                self._rescan.clear()
                self._scan()
            if time.monotonic() >= resync_at:
                resync_at = time.monotonic() + self._settings.resync
                self._scan()
                self._relist.set()
                malloc_arenas.give_back()
            if self._hangup.asked:
                self._hangup.asked = False
                self._reconfigure()
                resync_at = min(resync_at, time.monotonic() + self._settings.resync)
            self._report.tick()
            if self._mode == "forever" or not self._settled():
                continue
            if self._mode == "once":
                return 0
            if self._work.all_ended():
                return 0 if self._work.all_complete() else 1
        return 0 if self._mode == "forever" else 1

    def _keep_relisting(self) -> None:
        """A thread of its own: an engine that hangs must not keep the main loop from going round."""
        while not self._closed:
            if self._relist.wait(1.0):
                self._relist.clear()
                try:
                    with self._work.liveness.work("the listing of the engine"):
                        self._work.resync()
                except Exception:  # noqa: BLE001  (see below)
                    # The thread's boundary: without it nothing would be listed any more.
                    _log.exception("an error of this program; please report it")
                    self._work.relisting.broke()

    def _reconfigure(self) -> None:
        """SIGHUP: go on with what the configuration says now, as far as it may change."""
        self._report.reloading()
        try:
            outcome = reloaded(self._settings, self._reload())
            if outcome.settings.runtime_sources != self._settings.runtime_sources:
                self._follow_sources(outcome.settings.runtime_sources)
        except ReconcilerError as error:
            _log.error("the configuration is wrong; the old one stays in force", reason=str(error))
            self._report.ready("the configuration is wrong, the old one is in force")
            return
        if outcome.refused:
            _log.warning("settings that take a restart stay as they were", settings=outcome.refused)
        self._settings = outcome.settings
        logging_setup.configure(form=self._settings.log_format, level=self._settings.log_level)
        self._work.reconfigure(self._settings)
        self._source.let_be_empty(self._settings.allow_empty)
        if self._git is not None:
            self._git.reconfigure(self._settings)
        _log.info("configuration read again", changed=outcome.changed)
        self._report.ready("a restart is needed for some settings" if outcome.refused else "")

    def _follow_sources(self, sources: tuple[str, ...]) -> None:
        fresh = RuntimeRefresher(remote_sources(sources, clock=time.time), on_change=self._take_runtimes)
        self._runtimes.close()
        self._runtimes = fresh
        self._take_runtimes(fresh.documents)
        if sources:
            fresh.start()

    def _stop_jobs(self) -> None:
        """``--stop-jobs-on-exit``: the service manager is told to wait for grace periods."""
        _log.info("stopping the jobs' containers (--stop-jobs-on-exit)")
        stopping = threading.Thread(target=self._work.stop_jobs, name="stop-jobs", daemon=True)
        stopping.start()
        while stopping.is_alive():
            self._report.extend(STOPPING_TAKES)
            self._work.flush()
            stopping.join(STOPPING_EVERY)

    def _settled(self) -> bool:
        """Nothing is left to do now, and no file looks half-written."""
        return self._work.at_rest() and self._work.catalog.unsettled_until is None

    def look_now(self) -> None:
        """Look at the repository, or at the folder, without waiting until it is time."""
        if self._git is not None:
            self._git.wake()
        else:
            self._rescan.set()

    def _open_webhook(self) -> Webhook | None:
        if self._git is None or not self._settings.git_webhook or self._mode == "once":
            return None
        from reconciler.controller.daemon.webhook import Webhook  # noqa: PLC0415  (most daemons have none)

        return Webhook(self._settings, look=self.look_now)

    def _ask(self) -> None:
        # In a signal's handler, which may have interrupted whoever holds an event's lock.
        self._asked = True

    def _follower(self, settings: Settings) -> Follower:
        return Follower(
            settings,
            runtimes=lambda: self._runtimes.documents,
            on_change=self._rescan.set,
            clock=time.time,
            stop=self._stop,
        )

    def _scan(self) -> None:
        if self._git is None:
            self._work.take(self._source.scan())
            return
        # What a revision has made is labelled with it: one that comes while the folder is read is read anew.
        revision, catalog = self._git.in_force, self._source.scan()
        while (now := self._git.in_force) != revision:
            revision, catalog = now, self._source.scan()
        self._work.come_from(self._git.origin(revision))
        self._work.take(catalog)

    def _take_runtimes(self, runtimes: Sequence[Document]) -> None:
        self._source.replace_builtin(runtimes)
        self._rescan.set()

    def _check_folder(self) -> None:
        if self._mode != "forever":
            require_folder(self._settings)
        elif not self._settings.specs.is_dir() and self._git is None:
            specs = str(self._settings.specs)
            _log.warning("the folder of manifests is not there; waiting for it", specs=specs)

    def _keep_connecting(self) -> None:
        try:
            keep_trying(
                lambda: self._work.attach(connect(self._settings)),
                unanswered=self._work.no_engine,
                stop=self._stop,
            )
        except ReconcilerError as error:
            self._failure = error
            self._stop.set()
