"""Where a job's containers run: facts of the host, the network, the address of every pod. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.engines.protocol import NetworkState
from reconciler.names import LABEL_REVISION, job_labels
from reconciler.state.record import Record


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a specification must know of the host.

    Attributes:
        instance: the specs folder that owns what is created.
        revision: the commit that the manifests come from, for what is created now; "" for a plain folder.
        files: folder of the job's ``files`` volumes, as an absolute path.
        memory: bytes of the host, for the size of ``/dev/shm``; 0 unknown.
    """

    instance: str
    files: str
    memory: int = 0
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The host and the network of one run of a job, and the address of every pod.

    Attributes:
        addresses: of the pods, by step and index.
        progress: host and port at which each pod reaches the daemon's progress service; pods that cannot
            reach it are missing.
    """

    host: Host
    network: NetworkState
    addresses: Mapping[tuple[str, int], str]
    port: int
    spec_hash: str
    progress: Mapping[tuple[str, int], str] = field(default_factory=dict)


def object_labels(record: Record, host: Host) -> dict[str, str]:
    """The labels of a job's network and containers: the job's own, and the commit they were created from."""
    own = job_labels(namespace=record.namespace, job=record.name, uid=record.uid, instance=host.instance)
    return own | ({LABEL_REVISION: host.revision} if host.revision else {})
