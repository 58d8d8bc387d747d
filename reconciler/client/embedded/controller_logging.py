"""Routes the embedded controller's log events to the program's own logging, from WARNING on.

structlog prints to standard output unless configured, which would mix with the program's output. A program
that has configured structlog itself is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from reconciler.client.backends.container.types import DEFAULT_SOURCES


def configure_controller_logging() -> None:
    """Configures structlog, unless the program has."""
    import structlog  # noqa: PLC0415  (0.1 s)

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            _drop_expected_events,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"], sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _drop_expected_events(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Drops failures of the default runtime sources, which nobody asked for, and waits for the engine."""
    from reconciler.controller.engine_session import CONNECTING  # noqa: PLC0415  (imports the controller)

    default = event.get("event") == "runtime source failed" and event.get("source") in DEFAULT_SOURCES
    if default or event.get("reason") == CONNECTING:
        import structlog  # noqa: PLC0415

        raise structlog.DropEvent
    return event
