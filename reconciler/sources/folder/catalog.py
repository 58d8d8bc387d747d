"""The manifests of a folder at one moment: the desired state, with what is wrong in it.

A catalog never drops objects in haste. A file that stops parsing keeps its objects (``stale``), a file that
has just vanished keeps them for a moment (editors and ``git checkout`` take files away and bring them
back), and a folder that is missing, replaced by an empty one or unreadable keeps all of them. What a
reader must heed: prune (remove from the engine) a job only when it is not in :attr:`Catalog.jobs` *and*
:meth:`Catalog.can_prune` says so for the file it was last read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from reconciler.api.faults import RUNTIME_NOT_FOUND
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.sources.folder.manifest_files import with_parents

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.api.faults import Fault

FolderState = Literal["ok", "missing", "empty", "unreadable"]
#: (kind, namespace, name); the namespace is "" for a ClusterTrainingRuntime.
ObjectId = tuple[str, str, str]
RuntimeKey = ObjectId

JOB_KIND: Final = "TrainJob"
RUNTIME_KINDS: Final = frozenset({"ClusterTrainingRuntime", "TrainingRuntime"})


@dataclass(frozen=True, kw_only=True)
class JobEntry:
    """A TrainJob of the folder.

    Attributes:
        key: ``namespace/name``.
        document: the last good one: valid by itself and admitted. None when there never was one since
            this process started.
        candidate: what its file says now, good or not; None when the file does not parse, is gone for
            the moment, or several files define the job.
        stale: ``document`` is not what the file says now.
        file: where it is defined; where several files do, the one in force.
        errors: everything that is wrong with it now, faults of its whole file included.
        warnings: unsupported fields, and the like.
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
    def rejections(self) -> tuple[Fault, ...]:
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
    """A folder of manifests, read and validated.

    Attributes:
        jobs: by ``namespace/name``; invalid ones included.
        runtimes: the folder's last good ones.
        fallback_runtimes: those of remote sources and the built-in ones, where the folder has none of that
            name.
        secrets: data by ``(namespace, name)``, decoded.
        configmaps: likewise.
        documents: every document the files hold now, valid or not.
        file_faults: by file, those that belong to no object: syntax, size, unreadable.
        faults: all faults, of files, objects and across objects, sorted.
        unprunable_paths: files (or folders) that are there and could not be read or parsed, or that have just
            changed in a way that looks half-done: nothing that came from them may be pruned.
        state: of the folder; anything but ``ok`` prunes nothing. ``empty``: there is not a file in it
            and it is not known to be the folder whose files were removed (a file system not mounted).
        removed_by_name: keys of jobs that a person asked to be removed: one of them that is not in ``jobs``
            was removed, whatever the folder looks like.
        rescan_at: end of the earliest grace period of a file, seconds since the epoch: scan again then. None
            when no file is waited for. A watcher calls back by itself.
    """

    jobs: Mapping[str, JobEntry] = field(default_factory=dict)
    runtimes: Mapping[RuntimeKey, Document] = field(default_factory=dict)
    fallback_runtimes: Mapping[RuntimeKey, Document] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    configmaps: Mapping[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    documents: tuple[Document, ...] = ()
    file_faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    unprunable_paths: frozenset[str] = frozenset()
    state: FolderState = "ok"
    removed_by_name: frozenset[str] = frozenset()
    rescan_at: float | None = None

    def runtime_for(self, job: Document) -> Document | None:
        """The runtime that a TrainJob names: the folder's, else a fallback, else None."""
        key = runtime_key(job)
        return self.runtimes.get(key) or self.fallback_runtimes.get(key)

    def can_prune(self, file: str) -> bool:
        """Whether an object that was last read from ``file``, and is absent now, was removed."""
        if self.state != "ok":
            return False
        return not any(path in self.unprunable_paths for path in with_parents(file))


def describe_guard(state: FolderState, folder: object, name: str, *, ended: bool = False) -> str:
    """The sentence for a job that is kept without its manifest: why, and how to go on; "" where none is.

    Args:
        state: of the folder.
        folder: its path.
        name: of the job, as the command line takes it.
        ended: nothing of it runs any more.
    """
    why = {
        "empty": f"All manifests are gone from {folder}, which may be an accident",
        "missing": f"The folder of manifests {folder} is not there",
        "unreadable": f"The folder of manifests {folder} cannot be read",
    }.get(state)
    if why is None:
        return ""
    remedy = f"to remove it: reconciler delete {name}" if state == "empty" else "then it goes by them again"
    kept = "the job's record and logs are kept" if ended else "the job goes on without its manifest"
    return f"{why}: {kept}. Bring the manifests back; {remedy}."


def runtime_key(job: Document) -> RuntimeKey:
    """The key of ``spec.runtimeRef``; its kind is ClusterTrainingRuntime unless given."""
    spec = job.raw.get("spec")
    ref: Any = spec.get("runtimeRef") if isinstance(spec, Mapping) else None
    if not isinstance(ref, Mapping):
        ref = {}
    kind = str(ref.get("kind") or "ClusterTrainingRuntime")
    namespace = "" if kind == "ClusterTrainingRuntime" else job.namespace or DEFAULT_NAMESPACE
    return kind, namespace, str(ref.get("name") or "")


def is_named(document: Document) -> bool:
    """Whether a document says which object it is."""
    return bool(document.kind and document.name)


def object_id(document: Document) -> ObjectId:
    """The identity of a document's object."""
    cluster_wide = document.kind == "ClusterTrainingRuntime"
    namespace = "" if cluster_wide else document.namespace or DEFAULT_NAMESPACE
    return document.kind, namespace, document.name
