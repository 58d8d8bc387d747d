"""What a folder of manifests says at one moment: the desired state, with what is wrong in it.

A catalog never forgets in haste. A file that stops parsing keeps its objects (``stale``), a file that
has just vanished keeps them for a moment (editors and ``git checkout`` take files away and bring them
back), and a folder that is missing, replaced by an empty one or unreadable keeps all of them. What a
reader must heed: prune (remove from the engine) a job only when it is not in :attr:`Catalog.jobs` *and*
:meth:`Catalog.may_prune` says so for the file it was last read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reconciler.names import DEFAULT_NAMESPACE
from reconciler.sources.folder.manifest_files import with_parents

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.api.faults import Fault

FolderState = Literal["ok", "missing", "empty", "unreadable"]
#: (kind, namespace, name); the namespace is "" for a ClusterTrainingRuntime.
RuntimeKey = tuple[str, str, str]

#: ``Fault.reason`` of a TrainJob whose runtime is not there: the job waits, it is not refused.
RUNTIME_NOT_FOUND = "RuntimeNotFound"


@dataclass(frozen=True, kw_only=True)
class JobEntry:
    """A TrainJob as its manifest has it.

    Attributes:
        key: ``namespace/name``.
        document: the last good one: valid by itself and admitted. None when there never was one since
            this process started.
        candidate: what its file says now, good or not; None when the file does not parse, is gone for
            the moment, or several files define the job.
        stale: ``document`` is not what the file says now.
        file: where it is defined; the one in force when there are several.
        errors: all that is wrong with it now, faults of its whole file included.
        warnings: fields without meaning here, and the like.
        waiting_for_runtime: its runtime is not there: Pending, not Invalid.
    """

    key: str
    document: Document | None
    candidate: Document | None = None
    stale: bool = False
    file: str = ""
    errors: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    waiting_for_runtime: bool = False

    @property
    def refused(self) -> tuple[Fault, ...]:
        """The errors that make it Invalid: all but a missing runtime."""
        return tuple(fault for fault in self.errors if fault.reason != RUNTIME_NOT_FOUND)

    @property
    def namespace(self) -> str:
        """The job's namespace."""
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        """The job's name."""
        return self.key.partition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """A folder of manifests, read and checked.

    Attributes:
        jobs: by ``namespace/name``; invalid ones included.
        runtimes: last good ones of the folder (and of remote sources).
        builtin: runtimes that come with this project, used where the folder has none of that name.
        secrets: data by ``(namespace, name)``, decoded.
        configmaps: likewise.
        documents: every document the files hold now, valid or not.
        file_faults: by file, those that belong to no object: syntax, size, unreadable.
        faults: every fault there is, of files, objects and across objects, sorted.
        doubtful: files (or folders) that are there and could not be read or parsed, or that have just
            changed in a way that looks half-done: nothing that came from them may be pruned.
        state: of the folder; anything but ``ok`` prunes nothing. ``empty``: there is not a file in it
            and it is not known to be the folder whose files were removed (a file system not mounted).
        unsettled_until: seconds since the epoch when a file that is being written, or one that has just
            vanished, will be taken at its word; scan again then. None when everything is settled.
            A watcher calls back by itself.
    """

    jobs: Mapping[str, JobEntry] = field(default_factory=dict)
    runtimes: Mapping[RuntimeKey, Document] = field(default_factory=dict)
    builtin: Mapping[RuntimeKey, Document] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    configmaps: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    documents: tuple[Document, ...] = ()
    file_faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    doubtful: frozenset[str] = frozenset()
    state: FolderState = "ok"
    unsettled_until: float | None = None

    def runtime_for(self, job: Document) -> Document | None:
        """The runtime that a TrainJob names: the folder's, else a built-in one, else None."""
        key = runtime_key(job)
        return self.runtimes.get(key) or self.builtin.get(key)

    def may_prune(self, file: str) -> bool:
        """Whether the absence of an object that was last read from ``file`` means that it was removed."""
        if self.state != "ok":
            return False
        return not any(path in self.doubtful for path in with_parents(file))


def runtime_key(job: Document) -> RuntimeKey:
    """What ``spec.runtimeRef`` names; its kind is ClusterTrainingRuntime unless given."""
    spec = job.raw.get("spec")
    ref: Any = spec.get("runtimeRef") if isinstance(spec, Mapping) else None
    if not isinstance(ref, Mapping):
        ref = {}
    kind = str(ref.get("kind") or "ClusterTrainingRuntime")
    namespace = "" if kind == "ClusterTrainingRuntime" else job.namespace or DEFAULT_NAMESPACE
    return kind, namespace, str(ref.get("name") or "")
