"""From settings to an engine that answers."""

from __future__ import annotations

from reconciler.config.settings import Settings
from reconciler.engines.protocol import Engine


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
