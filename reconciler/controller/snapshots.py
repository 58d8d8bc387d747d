"""What the engine's listings come down to: whose things there are, and in which state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.engines.protocol import ContainerState, NetworkState
from reconciler.names import LABEL_JOB, LABEL_NAMESPACE, job_key

Digest = frozenset[tuple[str, str]]


def digest(containers: Iterable[ContainerState], networks: Iterable[NetworkState]) -> Digest:
    """What a listing comes down to: which things there are, and in which state."""
    return frozenset([(c.id, c.state) for c in containers] + [(n.name, "network") for n in networks])


def differing(
    containers: Iterable[ContainerState], networks: Iterable[NetworkState], seen: Mapping[str, Digest]
) -> list[str]:
    """Keys of the jobs that look different in a listing of everything from what was seen of them last."""
    listed = _by_job(containers, networks)
    return [
        key
        for key in sorted(listed.keys() | seen.keys())
        if digest(*listed.get(key, ([], []))) != seen.get(key, frozenset())
    ]


def _by_job(
    containers: Iterable[ContainerState], networks: Iterable[NetworkState]
) -> dict[str, tuple[list[ContainerState], list[NetworkState]]]:
    listed: dict[str, tuple[list[ContainerState], list[NetworkState]]] = {}
    for container in containers:
        listed.setdefault(key_of(container.labels), ([], []))[0].append(container)
    for network in networks:
        listed.setdefault(key_of(network.labels), ([], []))[1].append(network)
    return listed


def key_of(labels: Mapping[str, str]) -> str:
    """``namespace/name`` of the job that a thing's labels name."""
    return job_key(labels.get(LABEL_NAMESPACE, "default"), labels.get(LABEL_JOB, ""))
