"""Lists everything that an instance has on the engine, to find changes that no event announced.

A snapshot is the part of a listing that is compared, for one job; a job whose snapshot differs from the one
of its last pass gets another pass, so that jobs at rest cost nothing.

What can go wrong: an engine that is down is waited for; one that answers all else and cannot be listed would
be waited for without end, so the time since when is kept for the service manager.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import structlog

from reconciler.engines.protocol import ContainerState, Engine, NetworkState
from reconciler.errors import EngineError
from reconciler.names import LABEL_INSTANCE, job_key_of

Snapshot = frozenset[tuple[str, str]]

_log = structlog.get_logger(__name__)


def snapshot(containers: Iterable[ContainerState], networks: Iterable[NetworkState]) -> Snapshot:
    """The containers and networks of a listing, and their states."""
    return frozenset([(c.id, c.state) for c in containers] + [(n.name, "network") for n in networks])


class Relister:
    """Lists an instance's containers and networks, and remembers how that went.

    Attributes:
        error: why the engine could not be listed last time; "" when it could.
        failing_since: since when the engine has answered but could not be listed, in monotonic seconds.
    """

    def __init__(self) -> None:
        self.error = ""
        self.failing_since: float | None = None

    def changed_jobs(self, engine: Engine, instance: str, last: Mapping[str, Snapshot]) -> list[str] | None:
        """Keys of the jobs whose snapshot differs from the last; None where the engine cannot be listed."""
        try:
            containers = engine.list_containers({LABEL_INSTANCE: instance})
            networks = engine.list_networks({LABEL_INSTANCE: instance})
        except EngineError as error:
            _log.warning("relist failed", reason=str(error))
            self.error = str(error)
            self._check_answer(engine)
            return None
        self.error, self.failing_since = "", None
        return _changed_jobs(containers, networks, last)

    def mark_failing(self) -> None:
        """An engine that answers was not listed, by its own fault or an error of this program."""
        self.failing_since = self.failing_since or time.monotonic()

    def _check_answer(self, engine: Engine) -> None:
        try:
            engine.info()
        except EngineError:
            self.failing_since = None
        else:
            self.mark_failing()


def _changed_jobs(
    containers: Iterable[ContainerState], networks: Iterable[NetworkState], last: Mapping[str, Snapshot]
) -> list[str]:
    listed: dict[str, tuple[list[ContainerState], list[NetworkState]]] = {}
    for container in containers:
        listed.setdefault(job_key_of(container.labels), ([], []))[0].append(container)
    for network in networks:
        listed.setdefault(job_key_of(network.labels), ([], []))[1].append(network)
    return [
        key
        for key in sorted(listed.keys() | last.keys())
        if snapshot(*listed.get(key, ([], []))) != last.get(key, frozenset())
    ]
