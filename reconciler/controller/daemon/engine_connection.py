"""From settings to an engine that answers: at once, or in the end."""

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


def keep_trying(
    attach: Callable[[], None], *, unanswered: Callable[[EngineUnavailable], None], stop: threading.Event
) -> None:
    """Until an engine answers; from then on its clients reconnect by themselves.

    Args:
        attach: one attempt.
        unanswered: told of each that was in vain.
        stop: ends it.

    Raises:
        ReconcilerError: no further attempt can succeed.
    """
    delay = FIRST_RETRY
    told = ""
    while not stop.is_set():
        try:
            attach()
        except EngineUnavailable as error:
            if str(error) != told:
                told = str(error)
                _log.error("no container engine answers; trying again", reason=told)
            unanswered(error)
            if stop.wait(delay):
                return
            delay = min(delay * 2, LAST_RETRY)
        else:
            return
