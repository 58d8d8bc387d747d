"""Decides which version of every object is in force: the last good one. No I/O.

The rules, in the order of their use:

1. An object that one file defines, and defines well, is in force.
2. One that is invalid, or rejected when validated together with the others, leaves its last good version in
   force.
3. One that several files define is an error in each of them; the version that was there before stays.
4. One that has gone from a file whose text does not parse as a whole stays as well: it cannot be known
   whether it was removed.
5. A runtime that is rejected is replaced by its last good version *before* jobs are validated against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.api.faults import RUNTIME_NOT_FOUND, Fault
from reconciler.sources.folder.catalog import (
    JOB_KIND,
    RUNTIME_KINDS,
    Catalog,
    JobEntry,
    ObjectId,
    RuntimeKey,
    is_named,
    object_id,
)
from reconciler.sources.folder.secret_data import decode_configmap, decode_secret

if TYPE_CHECKING:
    from reconciler.api import Document


@dataclass(frozen=True, kw_only=True)
class FileView:
    """The content of one file that is in force.

    Attributes:
        faults: of the file as a whole.
        held: a grace period runs: ``documents`` are those of before.
    """

    path: str
    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
    held: bool = False

    @property
    def nameless_faults(self) -> tuple[Fault, ...]:
        """Faults of documents that do not say which object they are."""
        return tuple(fault for doc in self.documents if not is_named(doc) for fault in doc.faults)

    @property
    def broken(self) -> bool:
        """Whether objects may be hidden in what could not be read."""
        return any(fault.severity == "error" for fault in (*self.faults, *self.nameless_faults))


def resolve(
    files: Sequence[FileView],
    last_good: Mapping[ObjectId, Document],
    *,
    fallback_runtimes: Sequence[Document],
    folder: Catalog,
) -> tuple[Catalog, Mapping[ObjectId, Document]]:
    """Build the catalog of these files; ``folder`` has the state of the folder besides them.

    Returns:
        The catalog, and the last good version of each object, kept for as long as something defines it.
    """
    fallbacks = _first_of_each_name(fallback_runtimes)
    resolution = _Resolution(files, last_good)
    faults = _validate(resolution, list(fallbacks.values()))
    good = resolution.update_last_good(faults)
    return resolution.catalog(faults, fallbacks=fallbacks, folder=folder), good


def _validate(resolution: _Resolution, fallbacks: Sequence[Document]) -> list[Fault]:
    from reconciler.api import check  # noqa: PLC0415  (builds pydantic models)

    # The check takes the last of a name; of the fallbacks the first of a name is given.
    faults = list(check(resolution.documents_to_check(), fallbacks))
    if resolution.replace_rejected_runtimes(faults):
        replaced = [fault for fault in faults if fault.object in resolution.rejected_runtimes]
        return replaced + list(check(resolution.documents_to_check(), fallbacks))
    return faults


class _Resolution:
    """One run of the rules: the documents by object, and which version of each is in force.

    Attributes:
        current: documents by object, of files whose content is in force.
        held: the versions that stay for now, of objects whose file is in a grace period or broken.
        broken: files that may hide objects.
    """

    def __init__(self, files: Sequence[FileView], last_good: Mapping[ObjectId, Document]) -> None:
        self.files = files
        self.last_good = last_good
        self.rejected_runtimes: set[str] = set()
        self.documents = tuple(doc for file in files for doc in file.documents)
        self.broken = {file.path: file for file in files if file.broken}
        self.current: dict[ObjectId, list[Document]] = _by_object(f for f in files if not f.held)
        self.held: dict[ObjectId, Document] = {}
        for identity, docs in _by_object(f for f in files if f.held).items():
            if identity not in self.current:
                self.held[identity] = last_good.get(identity, docs[0])
        for identity, doc in last_good.items():
            if doc.file in self.broken and identity not in self.current:
                self.held.setdefault(identity, doc)

    def documents_to_check(self) -> list[Document]:
        """The documents to validate together: of each object one, or all where several files have it."""
        chosen = list(self.held.values())
        for identity, docs in self.current.items():
            good = self.last_good.get(identity)
            usable = any(doc.valid and doc.object not in self.rejected_runtimes for doc in docs)
            chosen += docs if usable or good is None or identity[0] == JOB_KIND else [good]
        return chosen

    def replace_rejected_runtimes(self, faults: Iterable[Fault]) -> bool:
        """Replace rejected runtimes by their last good versions; returns whether there were any."""
        rejected = {fault.object for fault in faults if fault.severity == "error"}
        for identity, docs in self.current.items():
            good = self.last_good.get(identity)
            if identity[0] in RUNTIME_KINDS and docs[0].object in rejected and good and good is not docs[0]:
                self.rejected_runtimes.add(docs[0].object)
        return bool(self.rejected_runtimes)

    def update_last_good(self, faults: Iterable[Fault]) -> dict[ObjectId, Document]:
        """Update and return the versions in force, which are the last good ones from now on."""
        rejected = {
            fault.object
            for fault in faults
            if fault.severity == "error" and fault.reason != RUNTIME_NOT_FOUND
        }
        good = {
            identity: doc
            for identity, doc in self.held.items()
            if identity in self.last_good or (doc.valid and doc.object not in rejected)
        }
        for identity, docs in self.current.items():
            if len(docs) == 1 and docs[0].valid and docs[0].object not in rejected:
                good[identity] = docs[0]
            elif identity in self.last_good:
                good[identity] = self.last_good[identity]
        self.last_good = good
        return good

    def catalog(
        self, faults: Iterable[Fault], *, fallbacks: Mapping[RuntimeKey, Document], folder: Catalog
    ) -> Catalog:
        """Build the catalog; ``faults`` are those found when validating together."""
        by_object: defaultdict[str, list[Fault]] = defaultdict(list)
        for fault in faults:
            by_object[fault.object].append(fault)
        file_faults = dict(folder.file_faults)
        for file in self.files:
            if found := (*file.faults, *file.nameless_faults):
                file_faults[file.path] = (*file_faults.get(file.path, ()), *found)
        all_faults = {fault for found in (*file_faults.values(), *by_object.values()) for fault in found}
        all_faults |= {fault for doc in self.documents for fault in doc.faults}
        jobs = self._jobs(by_object)
        good = self.last_good
        return replace(
            folder,
            jobs={job.key: job for job in jobs},
            runtimes={identity: doc for identity, doc in good.items() if identity[0] in RUNTIME_KINDS},
            fallback_runtimes={i: doc for i, doc in fallbacks.items() if i not in self.current},
            secrets={i[1:]: decode_secret(doc) for i, doc in good.items() if i[0] == "Secret"},
            configmaps={i[1:]: decode_configmap(doc) for i, doc in good.items() if i[0] == "ConfigMap"},
            documents=self.documents,
            file_faults=file_faults,
            faults=tuple(sorted(all_faults)),
            unprunable_paths=folder.unprunable_paths | self.broken.keys(),
        )

    def _jobs(self, faults: Mapping[str, list[Fault]]) -> list[JobEntry]:
        jobs = [self._current_job(i, docs, faults) for i, docs in self.current.items() if i[0] == JOB_KIND]
        jobs += [self._held_job(i, doc, faults) for i, doc in self.held.items() if i[0] == JOB_KIND]
        return sorted(jobs, key=lambda job: job.key)

    def _current_job(
        self, identity: ObjectId, docs: list[Document], faults: Mapping[str, list[Fault]]
    ) -> JobEntry:
        candidate = docs[0] if len(docs) == 1 else None
        document = self.last_good.get(identity)
        return _job_entry(
            identity,
            document,
            candidate,
            (*(fault for doc in docs for fault in doc.faults), *faults.get(docs[0].object, ())),
            stale=document is not None and document is not candidate,
            file=candidate.file if candidate else (document or docs[0]).file,
        )

    def _held_job(self, identity: ObjectId, doc: Document, faults: Mapping[str, list[Fault]]) -> JobEntry:
        broken = self.broken.get(doc.file)
        whole_file = () if broken is None else (*broken.faults, *broken.nameless_faults)
        return _job_entry(
            identity,
            doc if doc.valid else None,
            None,
            (*doc.faults, *faults.get(doc.object, ()), *whole_file),
            stale=broken is not None,
            file=doc.file,
        )


def _by_object(files: Iterable[FileView]) -> dict[ObjectId, list[Document]]:
    found: defaultdict[ObjectId, list[Document]] = defaultdict(list)
    for file in files:
        for doc in file.documents:
            if is_named(doc):
                found[object_id(doc)].append(doc)
    return dict(found)


def _job_entry(
    identity: ObjectId,
    document: Document | None,
    candidate: Document | None,
    faults: Iterable[Fault],
    *,
    stale: bool,
    file: str,
) -> JobEntry:
    unique = tuple(dict.fromkeys(faults))
    errors = tuple(fault for fault in unique if fault.severity == "error")
    return JobEntry(
        key=f"{identity[1]}/{identity[2]}",
        document=document,
        candidate=candidate,
        stale=stale,
        file=file,
        errors=errors,
        warnings=tuple(fault for fault in unique if fault.severity == "warning"),
        waiting_for_runtime=any(fault.reason == RUNTIME_NOT_FOUND for fault in errors),
    )


def _first_of_each_name(documents: Iterable[Document]) -> dict[RuntimeKey, Document]:
    chosen: dict[RuntimeKey, Document] = {}
    for doc in documents:
        if doc.kind in RUNTIME_KINDS and doc.valid:
            chosen.setdefault(object_id(doc), doc)
    return chosen
