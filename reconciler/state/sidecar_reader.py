"""Status sidecars as commands and clients read them: found by content, parsed leniently.

Sidecars are written by a daemon that may be older or newer than the reader, or be lost, or be edited by
hand: what is missing reads as nothing, and a file that cannot be read at all is a :class:`Problem` beside
the others' statuses, never an exception that hides them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from reconciler.common.yaml_errors import MISFIT, MISFITS
from reconciler.names import DEFAULT_NAMESPACE, job_key

SUFFIX: Final = ".status.yaml"
#: Phases that a job does not leave by itself.
FINISHED: Final = frozenset({"Complete", "Failed"})
ENDED: Final = FINISHED | {"Invalid"}
PHASES: Final = (
    "Pending",
    "Queued",
    "Pulling",
    "Initializing",
    "Running",
    "Restarting",
    "Suspended",
    "Complete",
    "Failed",
    "Invalid",
)


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One node of a job, as the sidecar has it; empty where it says nothing."""

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
        """Runs, or has ended well: what upstream counts as ready."""
        state = self.state.lower()
        return state in {"running", "ready", "succeeded", "completed"} or (
            state in {"exited", "terminated"} and self.exit_code == 0
        )


@dataclass(frozen=True, kw_only=True)
class ObjectStatus:
    """One document of a sidecar.

    Attributes:
        file: the sidecar's path.
        written_at: when the file was last written, seconds since the epoch.
        raw: the whole document.
        created_at: of the object, seconds since the epoch.
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
        """One of :data:`PHASES`; "" when the sidecar does not say."""
        return _text(self.status.get("phase"))

    @property
    def attempt(self) -> int:
        """Number of the current gang."""
        return _integer(self.status.get("attempt")) or 0

    @property
    def created_at(self) -> float | None:
        """Seconds since the epoch."""
        return parse_time(self.metadata.get("creationTimestamp"))

    @property
    def conditions(self) -> tuple[Mapping[str, Any], ...]:
        """Upstream's conditions, in the file's order."""
        return _mappings(self.status.get("conditions"))

    @property
    def events(self) -> tuple[Mapping[str, Any], ...]:
        """Oldest first."""
        return _mappings(self.status.get("events"))

    @property
    def errors(self) -> tuple[Mapping[str, Any], ...]:
        """Faults of the manifest."""
        return _mappings(self.status.get("errors"))

    @property
    def nodes(self) -> tuple[NodeStatus, ...]:
        """By rank."""
        return nodes_of(self.status)

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """The condition of that type when it is True."""
        return next(
            (c for c in self.conditions if c.get("type") == kind and str(c.get("status")) == "True"), None
        )

    @property
    def started_at(self) -> float | None:
        """When the first node started, seconds since the epoch."""
        own = parse_time(self.status.get("startTime"))
        return (
            own if own is not None else min((n.started_at for n in self.nodes if n.started_at), default=None)
        )

    @property
    def finished_at(self) -> float | None:
        """When the job ended for good, seconds since the epoch; None while it has not."""
        if self.phase not in FINISHED:
            return None
        condition = self.condition(self.phase)
        own = parse_time(self.status.get("completionTime"))
        if own is None and condition is not None:
            own = parse_time(condition.get("lastTransitionTime"))
        return (
            own
            if own is not None
            else max((n.finished_at for n in self.nodes if n.finished_at), default=None)
        )

    @property
    def message(self) -> str:
        """The one sentence that says most: a fault, the end's reason, else the newest warning."""
        if self.errors:
            return _text(self.errors[0].get("message"))
        if own := _text(self.status.get("message")):
            return own
        for kind in ("Failed", "Complete", "Suspended"):
            found = self.condition(kind)
            if found is not None:
                return _text(found.get("message"))
        newest = self.events[-1] if self.events else {}
        unsettled = self.phase in {"Pending", "Queued", "Pulling", "Initializing", "Restarting", ""}
        return _text(newest.get("message")) if newest.get("type") == "Warning" or unsettled else ""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A sidecar that cannot be read."""

    file: Path
    message: str


@dataclass(frozen=True, kw_only=True)
class Statuses:
    """All sidecars below a folder."""

    objects: tuple[ObjectStatus, ...]
    problems: tuple[Problem, ...] = ()

    def jobs(self) -> dict[str, ObjectStatus]:
        """TrainJobs by ``namespace/name``; of two sidecars for one job the one written last."""
        found: dict[str, ObjectStatus] = {}
        for entry in sorted(self.objects, key=lambda o: o.written_at):
            if entry.kind == "TrainJob":
                found[entry.key] = entry
        return found


def nodes_of(status: Mapping[str, Any]) -> tuple[NodeStatus, ...]:
    """``status.nodes``, by rank."""
    nodes = [_node(entry) for entry in _mappings(status.get("nodes"))]
    return tuple(sorted(nodes, key=lambda node: (node.rank is None, node.rank or 0, node.name)))


def status_root(specs: Path, status_dir: Path | None) -> Path:
    """The folder below which sidecars are."""
    return specs if status_dir is None else status_dir


class SidecarReader:
    """Reads every sidecar below a folder, again and again; an unchanged file is not parsed twice.

    Args:
        root: a folder that is not there has no sidecars.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[tuple[int, int, int], list[ObjectStatus]]] = {}

    def read(self) -> Statuses:
        """What all sidecars say now."""
        known: dict[Path, tuple[tuple[int, int, int], list[ObjectStatus]]] = {}
        problems: list[Problem] = []
        for path in sidecar_files(self.root):
            try:
                stat = path.stat()
                mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                old = self._known.get(path)
                known[path] = old if old is not None and old[0] == mark else (mark, read_sidecar(path))
            except FileNotFoundError:
                continue  # removed between listing and reading
            except (OSError, ValueError) as error:
                problems.append(Problem(file=path, message=f"{path} cannot be read: {error}"))
        self._known = known
        objects = tuple(entry for _, entries in known.values() for entry in entries)
        return Statuses(objects=objects, problems=tuple(problems))


def sidecar_files(root: Path) -> Iterator[Path]:
    """Paths of all sidecars below a folder, sorted; symlinked folders are followed once."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = os.stat(folder)  # noqa: PTH116  (os.walk gives text)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIX) and not name.startswith("."):
                yield Path(folder, name)


def read_sidecar(path: Path) -> list[ObjectStatus]:
    """The documents of one sidecar.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML.
    """
    import yaml  # noqa: PLC0415  (not for --help)

    written_at = path.stat().st_mtime
    try:
        documents = list(yaml.load_all(path.read_bytes(), Loader=_loader()))
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from None
    except MISFITS:
        raise ValueError(MISFIT) from None
    return [
        ObjectStatus(
            kind=_text(document.get("kind")),
            namespace=_text(_mapping(document.get("metadata")).get("namespace")) or DEFAULT_NAMESPACE,
            name=_text(_mapping(document.get("metadata")).get("name")),
            file=path,
            written_at=written_at,
            raw=document,
        )
        for document in documents
        if isinstance(document, dict)
    ]


@cache
def _loader() -> Any:
    """The safe loader of libyaml where there is one; times stay texts, as JSON has them."""
    import yaml  # noqa: PLC0415

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    return type("SidecarLoader", (base,), {"yaml_implicit_resolvers": resolvers})


def parse_time(value: Any) -> float | None:
    """Seconds since the epoch from RFC 3339 text (or a number); None when it is neither."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


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


def _mappings(value: Any) -> tuple[Mapping[str, Any], ...]:
    return tuple(v for v in value if isinstance(v, Mapping)) if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
