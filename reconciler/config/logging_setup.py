"""Configures the log: structlog, as text on a terminal and as JSON lines otherwise.

Every line carries the context that its thread has bound (``job``, ``rank``, ``container``, ``reconcile_id``),
through context variables, so that inner functions need not pass it on. Libraries that use the standard
library's logging (urllib3, docker, podman, watchdog) are rendered in the same format, from WARNING on.

What can go wrong: a secret in a line. Values under keys that sound like secrets are masked here, as the last
line of defence; nothing should log them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

from reconciler.common.sanitize import sanitize_line, sanitize_text
from reconciler.config.log_stream import LogStream

#: Keys that contain one of these have their values masked.
SECRET_KEYS: Final = ("password", "token", "secret", "authorization", "auth", "credential", "private_key")
MASK: Final = "****"
_ORDER: Final = ("namespace", "job", "rank", "container", "reconcile_id")
_SEVERAL_LINES: Final = ("exception", "stack")
_QUIET_LIBRARIES: Final = ("urllib3", "docker", "podman", "watchdog", "requests", "asyncio")


def resolve_format(log_format: Literal["console", "json"] | None) -> Literal["console", "json"]:
    """Returns the given format, else console on a terminal and JSON otherwise."""
    return log_format or ("console" if sys.stderr.isatty() else "json")


def configure_logging(*, log_format: Literal["console", "json"] | None, level: str) -> None:
    """Configures structlog and the standard library's logging, on standard error; may be called again.

    Args:
        log_format: None: console on a terminal, JSON otherwise.
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    import structlog  # noqa: PLC0415  (0.1 s that only the daemon pays)

    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_secrets,
        order_keys,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(LogStream())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(log_format))
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "reconciler_handler", False):
            root.removeHandler(old)
    handler.reconciler_handler = True  # type: ignore[attr-defined]  # found by the next call
    root.addHandler(handler)
    root.setLevel(threshold)
    for library in _QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(max(threshold, logging.WARNING))


def _renderers(log_format: Literal["console", "json"] | None) -> list[Any]:
    import structlog  # noqa: PLC0415

    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if resolve_format(log_format) == "json":
        return [drop, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=str)]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        pad_event_to=36,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [drop, structlog.processors.format_exc_info, sanitize_values, console]


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Masks the values of keys that sound like secrets."""
    for key in event:
        if any(word in key.lower() for word in SECRET_KEYS):
            event[key] = MASK
    return event


def sanitize_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces what could steer the terminal, or pass for another line (JSON escapes all of it anyway).

    Values that are no text are rendered as Python writes them, which escapes as well.
    """
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = sanitize_text(value) if key in _SEVERAL_LINES else sanitize_line(value)
    return event


def order_keys(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Puts the context before the rest, in the same order on every line."""
    first = {key: event[key] for key in _ORDER if key in event}
    return {**first, **{key: value for key, value in event.items() if key not in first}}
