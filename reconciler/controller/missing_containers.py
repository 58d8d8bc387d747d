"""Asks for containers by their ids that a listing lacks: a rank counts as removed only where both say so.

An engine that lists less than it has (just restarted, or asked through a proxy) would make
ranks that run count as removed by hand: the job would fail, or run twice, while they go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.engines.protocol import ContainerState, Engine
from reconciler.errors import EngineError, NotFound
from reconciler.state.record import Record


def confirm_missing(engine: Engine, listed: Iterable[ContainerState], record: Record) -> None:
    """Checks that what has not ended and is not listed is not there; costs a call for each of these.

    Raises:
        EngineError: one is there, or cannot be asked for: nothing may be decided on the listing.
    """
    if record.finished:
        return
    there = {state.id for state in listed}
    for name, container in record.containers.items():
        identifier = container.container_id
        if not identifier or container.result is not None or identifier in there:
            continue
        try:
            engine.inspect_container(identifier)
        except NotFound:
            continue
        raise EngineError(
            f"{engine.name.capitalize()} does not list the container {name} ({identifier[:12]}), and has it.",
            remedy="Nothing was decided on that listing; it is asked again.",
        )
