"""The engine that runs a job, for commands that ask it themselves: ``logs`` without a kept log, ``exec``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.client.jobs.job_snapshots import Job
from reconciler.common.mappings import mapping_at
from reconciler.config.settings import Settings

if TYPE_CHECKING:
    from reconciler.engines.protocol import Engine


@contextmanager
def connect_to_engine_of(job: Job, settings: Settings) -> Iterator[Engine]:
    """Connects to the engine of a job for as long as the context lasts.

    Where the settings leave it open, it is the one that the job's status names.

    Raises:
        EngineUnavailable: it does not answer.
    """
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (imports structlog)

    name = mapping_at(job.reported, "engine").get("name")
    if settings.engine == "auto" and name in {"docker", "podman", "process"}:
        settings = replace(settings, engine=name)
    engine = connect(settings)
    try:
        yield engine
    finally:
        engine.close()
