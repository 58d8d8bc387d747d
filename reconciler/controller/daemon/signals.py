"""Signals: SIGTERM and SIGINT end the daemon, SIGHUP reloads its settings, SIGUSR1 rescans the manifests.

A handler may interrupt the holder of an event's lock, so most of them only set a flag, which the main loop
sees. Where the daemon runs in another thread than the main one, signals are its program's own affair.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass

import structlog

_log = structlog.get_logger(__name__)


@dataclass
class SignalFlags:
    """What signals have asked for and the main loop has not yet done."""

    reload: bool = False
    rescan: bool = False


def install_handlers(stop: threading.Event, flags: SignalFlags, *, reloads: bool) -> None:
    """Handle signals from now on, if this is the main thread.

    Args:
        stop: set by SIGTERM and SIGINT; a second one ends the process at once.
        flags: set by the others.
        reloads: whether the daemon can read its configuration again; else SIGHUP keeps its default action.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def request_stop(number: int, _frame: object) -> None:
        if stop.is_set():
            # The first one may be waiting for jobs to stop.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        _log.info("shutdown requested", signal=signal.Signals(number).name)
        stop.set()

    def request_reload(_number: int, _frame: object) -> None:
        flags.reload = True

    def request_rescan(_number: int, _frame: object) -> None:
        flags.rescan = True

    if reloads:
        signal.signal(signal.SIGHUP, request_reload)
    signal.signal(signal.SIGUSR1, request_rescan)
    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
