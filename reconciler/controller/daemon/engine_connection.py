"""From settings to an engine that answers: at once, or as soon as one does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from reconciler.config.settings import Settings
from reconciler.engines.protocol import Engine
from reconciler.errors import EngineUnavailable

FIRST_RETRY: Final = 0.5
LAST_RETRY: Final = 15.0

_log = structlog.get_logger(__name__)


def connect(settings: Settings) -> Engine:
    """The engine that the settings choose.

    Raises:
        EngineUnavailable: none answers; the message says what was tried and how to start one.
    """
    from reconciler.engines.discovery import selection  # noqa: PLC0415  (imports the engines' clients)

    return selection.connect(
        settings.engine,
        settings.container_host,
        address_pool=settings.address_pool,
        state_dir=settings.state_dir.absolute() / "process",
    )


def retry_until_connected(
    connect: Callable[[], None],
    *,
    on_unavailable: Callable[[EngineUnavailable], None],
    stop: threading.Event,
) -> None:
    """Try to connect until an engine answers; from then on its client reconnects by itself.

    Args:
        connect: one try.
        on_unavailable: called with the error of each try that failed.
        stop: ends the tries.

    Raises:
        ReconcilerError: no further try can succeed.
    """
    delay = FIRST_RETRY
    logged = ""
    while not stop.is_set():
        try:
            connect()
        except EngineUnavailable as error:
            if str(error) != logged:
                logged = str(error)
                _log.error("engine unavailable", reason=logged)
            on_unavailable(error)
            if stop.wait(delay):
                return
            delay = min(delay * 2, LAST_RETRY)
        else:
            return
