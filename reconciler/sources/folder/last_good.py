"""From what each file says to what is in force: the last good version of every object. No I/O.

The rules, in the order of their use:

1. An object that one file defines, and defines well, is in force.
2. One that is invalid, or refused when looked at beside the others, leaves its last good version in force.
3. One that several files define is an error in each of them; the version that was there before stays.
4. One that has gone from a file whose text does not parse as a whole stays as well: nobody can say
   whether it was removed.
5. A runtime that is refused is replaced by its last good version *before* jobs are judged by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from reconciler.api.faults import Fault
from reconciler.api.loading.scalars import from_base64
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.sources.folder.catalog import RUNTIME_NOT_FOUND, Catalog, FolderState, JobEntry, RuntimeKey

if TYPE_CHECKING:
    from reconciler.api import Document

JOB: Final = "TrainJob"
RUNTIMES: Final = frozenset({"ClusterTrainingRuntime", "TrainingRuntime"})
#: (kind, namespace, name)
ObjectId = tuple[str, str, str]
Check = Callable[[Sequence["Document"], Sequence["Document"]], Sequence[Fault]]


@dataclass(frozen=True, kw_only=True)
class FileView:
    """What counts of one file.

    Attributes:
        faults: of the file as a whole.
        held: the file has changed or vanished a moment ago in a way that looks half-done: ``documents``
            are those of before.
    """

    path: str
    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
    held: bool = False

    @property
    def broken(self) -> bool:
        """Whether objects may be hidden in what could not be read."""
        nameless = (fault for doc in self.documents if not is_named(doc) for fault in doc.faults)
        return any(fault.severity == "error" for fault in (*self.faults, *nameless))


@dataclass(frozen=True, kw_only=True)
class FolderView:
    """What counts of the folder besides its files; see :class:`Catalog`."""

    state: FolderState = "ok"
    doubtful: frozenset[str] = frozenset()
    unsettled_until: float | None = None
    faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)


class Resolver:
    """Remembers the last good version of each object, for as long as something defines the object.

    Args:
        check: judges documents beside one another, given further runtimes.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._last_good: dict[ObjectId, Document] = {}

    def resolve(
        self, views: Iterable[FileView], *, builtin: Sequence[Document], folder: FolderView
    ) -> Catalog:
        """The catalog of these files."""
        round_ = _Round(list(views), self._last_good)
        crosswise = self._judge(round_, builtin)
        self._last_good = round_.settle(crosswise)
        return round_.catalog(crosswise, builtin=builtin, folder=folder)

    def _judge(self, round_: _Round, builtin: Sequence[Document]) -> list[Fault]:
        # The check takes the last of a name, here the first wins.
        builtin = list(_first_wins(builtin).values())
        faults = list(self._check(round_.for_check(), builtin))
        if round_.replace_refused_runtimes(faults):
            replaced = [fault for fault in faults if fault.object in round_.refused_runtimes]
            return replaced + list(self._check(round_.for_check(), builtin))
        return faults


class _Round:
    """One resolution: the documents by object, and what becomes of them."""

    def __init__(self, views: list[FileView], last_good: Mapping[ObjectId, Document]) -> None:
        self.views = views
        self.last_good = last_good
        self.refused_runtimes: set[str] = set()
        self.documents = tuple(doc for view in views for doc in view.documents)
        self.broken = {view.path: view for view in views if view.broken}
        self.current: dict[ObjectId, list[Document]] = _by_object(v for v in views if not v.held)
        self.held: dict[ObjectId, Document] = {}
        for identity, docs in _by_object(v for v in views if v.held).items():
            if identity not in self.current:
                self.held[identity] = last_good.get(identity, docs[0])
        for identity, doc in last_good.items():
            if doc.file in self.broken and identity not in self.current:
                self.held.setdefault(identity, doc)

    def for_check(self) -> list[Document]:
        """The documents to judge side by side: of each object one, or all where several files have it."""
        chosen = list(self.held.values())
        for identity, docs in self.current.items():
            good = self.last_good.get(identity)
            usable = any(doc.valid and doc.object not in self.refused_runtimes for doc in docs)
            chosen += docs if usable or good is None or identity[0] == JOB else [good]
        return chosen

    def replace_refused_runtimes(self, faults: Iterable[Fault]) -> bool:
        """Put last good runtimes in the place of refused ones; whether there were any."""
        refused = {fault.object for fault in faults if fault.severity == "error"}
        for identity, docs in self.current.items():
            good = self.last_good.get(identity)
            if identity[0] in RUNTIMES and docs[0].object in refused and good and good is not docs[0]:
                self.refused_runtimes.add(docs[0].object)
        return bool(self.refused_runtimes)

    def settle(self, crosswise: Iterable[Fault]) -> dict[ObjectId, Document]:
        """The last good versions from now on: those in force."""
        refused = {
            fault.object
            for fault in crosswise
            if fault.severity == "error" and fault.reason != RUNTIME_NOT_FOUND
        }
        good = {
            identity: doc
            for identity, doc in self.held.items()
            if identity in self.last_good or (doc.valid and doc.object not in refused)
        }
        for identity, docs in self.current.items():
            if len(docs) == 1 and docs[0].valid and docs[0].object not in refused:
                good[identity] = docs[0]
            elif identity in self.last_good:
                good[identity] = self.last_good[identity]
        self.last_good = good
        return good

    def catalog(
        self, crosswise: Sequence[Fault], *, builtin: Sequence[Document], folder: FolderView
    ) -> Catalog:
        by_object: defaultdict[str, list[Fault]] = defaultdict(list)
        for fault in crosswise:
            by_object[fault.object].append(fault)
        file_faults = {path: list(faults) for path, faults in folder.faults.items()}
        for view in self.views:
            loose = [fault for doc in view.documents if not is_named(doc) for fault in doc.faults]
            if view.faults or loose:
                file_faults.setdefault(view.path, []).extend((*view.faults, *loose))
        everything = {fault for faults in (*file_faults.values(), *by_object.values()) for fault in faults}
        everything |= {fault for doc in self.documents for fault in doc.faults}
        jobs = self._jobs(by_object)
        good = self.last_good
        return Catalog(
            jobs={job.key: job for job in jobs},
            runtimes={identity: doc for identity, doc in good.items() if identity[0] in RUNTIMES},
            builtin=_first_wins(doc for doc in builtin if object_id(doc) not in self.current),
            secrets={i[1:]: secret_data(doc) for i, doc in good.items() if i[0] == "Secret"},
            configmaps={i[1:]: configmap_data(doc) for i, doc in good.items() if i[0] == "ConfigMap"},
            documents=self.documents,
            file_faults={path: tuple(faults) for path, faults in file_faults.items()},
            faults=tuple(sorted(everything)),
            doubtful=folder.doubtful | self.broken.keys(),
            state=folder.state,
            unsettled_until=folder.unsettled_until,
        )

    def _jobs(self, crosswise: Mapping[str, list[Fault]]) -> list[JobEntry]:
        jobs = [self._entry(i, docs, crosswise) for i, docs in self.current.items() if i[0] == JOB]
        for identity, doc in self.held.items():
            if identity[0] == JOB:
                broken = self.broken.get(doc.file)
                jobs.append(self._held_entry(identity, doc, crosswise, broken))
        return sorted(jobs, key=lambda job: job.key)

    def _entry(
        self, identity: ObjectId, docs: list[Document], crosswise: Mapping[str, list[Fault]]
    ) -> JobEntry:
        faults = _unique(*(fault for doc in docs for fault in doc.faults), *crosswise.get(docs[0].object, ()))
        candidate = docs[0] if len(docs) == 1 else None
        document = self.last_good.get(identity)
        return _job_entry(
            identity,
            document,
            candidate,
            faults,
            stale=document is not None and document is not candidate,
            file=candidate.file if candidate else (document or docs[0]).file,
        )

    def _held_entry(
        self,
        identity: ObjectId,
        doc: Document,
        crosswise: Mapping[str, list[Fault]],
        broken: FileView | None,
    ) -> JobEntry:
        whole = () if broken is None else (*broken.faults, *_nameless_faults(broken))
        faults = _unique(*doc.faults, *crosswise.get(doc.object, ()), *whole)
        return _job_entry(
            identity, doc if doc.valid else None, None, faults, stale=broken is not None, file=doc.file
        )


def is_named(doc: Document) -> bool:
    """Whether a document says which object it is."""
    return bool(doc.kind and doc.name)


def object_id(doc: Document) -> ObjectId:
    """What tells one object from another."""
    namespace = "" if doc.kind == "ClusterTrainingRuntime" else doc.namespace or DEFAULT_NAMESPACE
    return doc.kind, namespace, doc.name


def secret_data(doc: Document) -> dict[str, bytes]:
    """A Secret's values, decoded; ``stringData`` wins."""
    return _decoded(doc.raw.get("data")) | _encoded(doc.raw.get("stringData"))


def configmap_data(doc: Document) -> dict[str, bytes]:
    """A ConfigMap's values as bytes."""
    return _encoded(doc.raw.get("data")) | _decoded(doc.raw.get("binaryData"))


def _encoded(values: Any) -> dict[str, bytes]:
    return {str(k): str(v).encode() for k, v in values.items()} if isinstance(values, Mapping) else {}


def _decoded(values: Any) -> dict[str, bytes]:
    decoded: dict[str, bytes] = {}
    for key, value in values.items() if isinstance(values, Mapping) else ():
        try:
            decoded[str(key)] = from_base64(str(value))
        except ValueError:
            # Reported where the document was read; a reference to the key then finds none.
            continue
    return decoded


def _by_object(views: Iterable[FileView]) -> dict[ObjectId, list[Document]]:
    found: defaultdict[ObjectId, list[Document]] = defaultdict(list)
    for view in views:
        for doc in view.documents:
            if is_named(doc):
                found[object_id(doc)].append(doc)
    return dict(found)


def _job_entry(
    identity: ObjectId,
    document: Document | None,
    candidate: Document | None,
    faults: tuple[Fault, ...],
    *,
    stale: bool,
    file: str,
) -> JobEntry:
    errors = tuple(fault for fault in faults if fault.severity == "error")
    return JobEntry(
        key=f"{identity[1]}/{identity[2]}",
        document=document,
        candidate=candidate,
        stale=stale,
        file=file,
        errors=errors,
        warnings=tuple(fault for fault in faults if fault.severity == "warning"),
        waiting_for_runtime=any(fault.reason == RUNTIME_NOT_FOUND for fault in errors),
    )


def _first_wins(documents: Iterable[Document]) -> dict[RuntimeKey, Document]:
    chosen: dict[RuntimeKey, Document] = {}
    for doc in documents:
        if doc.kind in RUNTIMES and doc.valid:
            chosen.setdefault(object_id(doc), doc)
    return chosen


def _nameless_faults(view: FileView) -> tuple[Fault, ...]:
    return tuple(fault for doc in view.documents if not is_named(doc) for fault in doc.faults)


def _unique(*faults: Fault) -> tuple[Fault, ...]:
    return tuple(dict.fromkeys(faults))
