"""Reads status sidecars for commands and clients: found by content, parsed leniently.

Sidecars are written by a daemon that may be older or newer than the reader, or be lost, or be edited by
hand: what is missing reads as nothing, and a file that cannot be read at all is an :class:`UnreadableSidecar`
beside the others' statuses, never an exception that hides them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.common.os_errors import reason_of
from reconciler.common.regular_files import LARGE_FILE, open_regular_stream, read_stream
from reconciler.names import DEFAULT_NAMESPACE, job_key
from reconciler.state.phases import FINISHED_PHASES
from reconciler.state.sidecar_files import list_sidecars, parse_documents
from reconciler.state.timestamps import parse_time


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One entry of ``status.nodes``; empty where the sidecar says nothing."""

    rank: int | None
    name: str
    step: str = ""
    state: str = ""
    ip: str = ""
    container_id: str = ""
    exit_code: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    devices: str = ""
    log: str = ""
    restarts: int = 0
    message: str = ""

    @property
    def ready(self) -> bool:
        """Whether it runs, or has ended well: what upstream counts as ready."""
        return self.state == "running" or (self.state == "exited" and self.exit_code == 0)


@dataclass(frozen=True, kw_only=True)
class ObjectStatus:
    """One document of a sidecar.

    Attributes:
        file: the sidecar's path.
        written_at: when the file was last written, seconds since the epoch.
        raw: the whole document.
    """

    kind: str
    namespace: str
    name: str
    file: Path
    written_at: float
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return job_key(self.namespace, self.name)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """``metadata`` of the document."""
        return _mapping(self.raw.get("metadata"))

    @property
    def status(self) -> Mapping[str, Any]:
        """``status`` of the document."""
        return _mapping(self.raw.get("status"))

    @property
    def phase(self) -> str:
        """One of :data:`~reconciler.state.phases.PHASES`; "" when the sidecar does not say."""
        return _text(self.status.get("phase"))

    @property
    def attempt(self) -> int:
        """Number of the current attempt."""
        return _integer(self.status.get("attempt")) or 0

    @property
    def created_at(self) -> float | None:
        """When the object was accepted, seconds since the epoch."""
        return parse_time(self.metadata.get("creationTimestamp"))

    @property
    def conditions(self) -> tuple[Mapping[str, Any], ...]:
        """Upstream's conditions, in the file's order."""
        return mappings_in(self.status.get("conditions"))

    @property
    def events(self) -> tuple[Mapping[str, Any], ...]:
        """Events, oldest first."""
        return mappings_in(self.status.get("events"))

    @property
    def errors(self) -> tuple[Mapping[str, Any], ...]:
        """Faults of the manifest."""
        return mappings_in(self.status.get("errors"))

    @property
    def nodes(self) -> tuple[NodeStatus, ...]:
        """Nodes, by rank."""
        return parse_nodes(self.status)

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """The condition of that type when it is True."""
        return next(
            (c for c in self.conditions if c.get("type") == kind and str(c.get("status")) == "True"), None
        )

    @property
    def started_at(self) -> float | None:
        """When the first node started, seconds since the epoch."""
        own = parse_time(self.status.get("startTime"))
        if own is not None:
            return own
        return min((n.started_at for n in self.nodes if n.started_at), default=None)

    @property
    def finished_at(self) -> float | None:
        """When the job ended for good, seconds since the epoch; None while it has not."""
        if self.phase not in FINISHED_PHASES:
            return None
        condition = self.condition(self.phase)
        own = parse_time(self.status.get("completionTime"))
        if own is None and condition is not None:
            own = parse_time(condition.get("lastTransitionTime"))
        if own is not None:
            return own
        return max((n.finished_at for n in self.nodes if n.finished_at), default=None)

    @property
    def message(self) -> str:
        """The sentence that says most: a fault, the end's reason, else the newest warning."""
        if self.errors:
            return _text(self.errors[0].get("message"))
        if own := _text(self.status.get("message")):
            return own
        for kind in ("Failed", "Complete", "Suspended"):
            found = self.condition(kind)
            if found is not None:
                return _text(found.get("message"))
        newest = self.events[-1] if self.events else {}
        starting = self.phase in {"Pending", "Queued", "Pulling", "Initializing", "Restarting", ""}
        return _text(newest.get("message")) if newest.get("type") == "Warning" or starting else ""


@dataclass(frozen=True, kw_only=True)
class UnreadableSidecar:
    """A sidecar that cannot be read, and why."""

    file: Path
    message: str


@dataclass(frozen=True, kw_only=True)
class SidecarStatuses:
    """All sidecars below a folder."""

    objects: tuple[ObjectStatus, ...]
    problems: tuple[UnreadableSidecar, ...] = ()

    def jobs(self) -> dict[str, ObjectStatus]:
        """TrainJobs by ``namespace/name``; of two sidecars for one job the one written last."""
        found: dict[str, ObjectStatus] = {}
        for entry in sorted(self.objects, key=lambda o: o.written_at):
            if entry.kind == "TrainJob":
                found[entry.key] = entry
        return found


class SidecarReader:
    """Reads every sidecar below a folder repeatedly; an unchanged file is not parsed again.

    Args:
        root: a folder that is not there has no sidecars.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cache: dict[Path, tuple[tuple[int, int, int], list[ObjectStatus]]] = {}

    def read(self) -> SidecarStatuses:
        """Read all sidecars as they are now."""
        cache: dict[Path, tuple[tuple[int, int, int], list[ObjectStatus]]] = {}
        problems: list[UnreadableSidecar] = []
        for path in list_sidecars(self.root):
            try:
                stat = path.lstat()
                signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                old = self._cache.get(path)
                unchanged = old is not None and old[0] == signature
                cache[path] = old if old is not None and unchanged else (signature, read_sidecar(path))
            except FileNotFoundError:
                continue  # removed between listing and reading
            except (OSError, ValueError) as error:
                message = f"{path} cannot be read: {reason_of(error)}"
                problems.append(UnreadableSidecar(file=path, message=message))
        self._cache = cache
        objects = tuple(entry for _, entries in cache.values() for entry in entries)
        return SidecarStatuses(objects=objects, problems=tuple(problems))


def shows_guard(root: Path) -> bool:
    """Whether a status below a folder says that its job goes on without its manifest."""
    jobs = SidecarReader(root).read().jobs().values()
    return any(status.condition("ManifestMissing") is not None for status in jobs)


def read_sidecar(path: Path) -> list[ObjectStatus]:
    """The documents of one sidecar.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML.
    """
    with open_regular_stream(path, follow_links=False) as file:
        written_at = os.fstat(file.fileno()).st_mtime
        data = read_stream(file, limit=LARGE_FILE)
    return [
        ObjectStatus(
            kind=_text(document.get("kind")),
            namespace=_text(_mapping(document.get("metadata")).get("namespace")) or DEFAULT_NAMESPACE,
            name=_text(_mapping(document.get("metadata")).get("name")),
            file=path,
            written_at=written_at,
            raw=document,
        )
        for document in parse_documents(data)
    ]


def parse_nodes(status: Mapping[str, Any]) -> tuple[NodeStatus, ...]:
    """``status.nodes``, by rank."""
    nodes = [_node(entry) for entry in mappings_in(status.get("nodes"))]
    return tuple(sorted(nodes, key=lambda node: (node.rank is None, node.rank or 0, node.name)))


def mappings_in(value: Any) -> tuple[Mapping[str, Any], ...]:
    """The mappings in a list; what is none is left out."""
    return tuple(v for v in value if isinstance(v, Mapping)) if isinstance(value, list) else ()


def _node(entry: Mapping[str, Any]) -> NodeStatus:
    return NodeStatus(
        rank=_integer(entry.get("rank")),
        name=_text(entry.get("name")),
        step=_text(entry.get("step")),
        state=_text(entry.get("state")),
        ip=_text(entry.get("ip")),
        container_id=_text(entry.get("containerID")),
        exit_code=_integer(entry.get("exitCode")),
        started_at=parse_time(entry.get("startedAt")),
        finished_at=parse_time(entry.get("finishedAt")),
        devices=_devices(entry.get("devices")),
        log=_text(entry.get("log")),
        restarts=_integer(entry.get("restarts")) or 0,
        message=_text(entry.get("message")),
    )


def _devices(value: Any) -> str:
    """``nvidia.com/gpu=0,1`` of a mapping or a list; one per class, space between."""
    if isinstance(value, Mapping):
        return " ".join(f"{kind}={_devices(names).replace(' ', ',')}" for kind, names in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return _text(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
