"""What signals ask of the daemon: to end, to read its configuration again, to look now.

A handler may interrupt whoever holds an event's lock, so most of them only raise a flag, which the main loop
sees. Where the daemon runs in another thread than the main one, signals are its program's own affair.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

_log = structlog.get_logger(__name__)


@dataclass
class Hangup:
    """Whether SIGHUP has come. A plain flag: its handler may interrupt whoever holds an event's lock."""

    asked: bool = False


def handle_signals(stop: threading.Event, hangup: Hangup | None) -> None:
    """SIGTERM and SIGINT end the daemon in an orderly way, from its very start on; SIGHUP asks to reload."""
    if threading.current_thread() is not threading.main_thread():
        return

    def ask(number: int, _frame: object) -> None:
        if stop.is_set():
            # Asked again: the first time may be waiting for jobs to stop.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        _log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    def reload(_number: int, _frame: object) -> None:
        if hangup is not None:
            hangup.asked = True

    if hangup is not None:
        signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def on_usr1(ask: Callable[[], None]) -> None:
    """SIGUSR1: look now."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, lambda _number, _frame: ask())
