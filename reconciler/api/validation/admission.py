"""Faults that only several documents together have: duplicates, missing runtimes, what admission refuses.

Pure: called anew on all documents of a folder at each look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final, TypeAlias

from reconciler.api import runtime_lookup
from reconciler.api.faults import Fault
from reconciler.api.loading.document import Document
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation import completeness_rules, runtime_rules, trainjob_rules
from reconciler.api.validation.jobset import jobset_rules, pod_rules
from reconciler.api.validation.labels import template_errors
from reconciler.api.validation.unsupported_fields import warn_meaningless
from reconciler.names import API_GROUP, RUNTIME_NOT_SUPPORTED

#: Reasons that code tells apart.
RUNTIME_NOT_FOUND: Final = "RuntimeNotFound"
DUPLICATE: Final = "Duplicate"

_CLUSTER: Final = "ClusterTrainingRuntime"
_NAMESPACED: Final = "TrainingRuntime"
_READ: Final = frozenset({"TrainJob", _CLUSTER, _NAMESPACED, "Secret", "ConfigMap"})

_Key: TypeAlias = tuple[str, str, str]


def check(documents: Sequence[Document], runtimes: Iterable[Document] = ()) -> list[Fault]:
    """Every fault that the documents have among themselves: duplicates, then by document.

    Args:
        documents: all of the folder; those with faults of their own take part by name only.
        runtimes: further runtimes that are there (built-in, or from other sources); a document of the same
            kind and name goes before them, and they are not checked themselves.

    Returns:
        Errors and warnings, each with the object it belongs to. A runtime that is missing has
        ``reason == RUNTIME_NOT_FOUND``, an object defined more than once ``DUPLICATE``.
    """
    known = {_key(document): document for document in runtimes}
    known |= {_key(document): document for document in documents if document.kind in (_CLUSTER, _NAMESPACED)}
    faults = [*_duplicates(documents)]
    refused = {id(document): [*_runtime_errors(document)] for document in known.values()}
    for document in documents:
        model = document.model
        if isinstance(model, ClusterTrainingRuntime | TrainingRuntime):
            faults += refused.get(id(document), ()) or _runtime_errors(document)
            faults += _runtime_warnings(document, model)
        elif isinstance(model, TrainJob):
            faults += _job_faults(document, model, known, refused)
    return faults


def _key(document: Document) -> _Key:
    return document.kind, document.namespace, document.name


def _duplicates(documents: Sequence[Document]) -> Iterator[Fault]:
    """A fault on each of the documents that define the same object, naming all places."""
    places: dict[_Key, list[Document]] = {}
    for document in documents:
        if document.kind in _READ and document.name:
            places.setdefault(_key(document), []).append(document)
    for same in places.values():
        if len(same) < 2:
            continue
        listed = " and ".join(f"{document.file}:{document.line}" for document in same)
        for document in same:
            message = (
                f"Duplicate value: {document.object} is defined more than once: {listed}; keep one of them"
            )
            yield replace(document.error("metadata.name", message), reason=DUPLICATE)


def _runtime_errors(document: Document) -> Iterator[Fault]:
    """What upstream's webhook, JobSet and the API server refuse in a runtime."""
    model = document.model
    if not isinstance(model, ClusterTrainingRuntime | TrainingRuntime):
        return
    for path, message in runtime_rules.check(model):
        yield document.error(path, message)
    template = model.spec.template
    for path, message in template_errors(template.metadata if template else None, "spec.template.metadata"):
        yield document.error(path, message)
    spec = runtime_lookup.jobset_of(model)
    for path, message in jobset_rules.check(spec):
        yield document.error(path, message)
    for index, job in enumerate(spec.replicated_jobs):
        for path, message in pod_rules.check(job, index):
            yield document.error(path, message)


def _runtime_warnings(document: Document, model: ClusterTrainingRuntime | TrainingRuntime) -> Iterator[Fault]:
    if runtime_rules.is_deprecated(model):
        message = (
            f'{document.kind} "{document.name}" is deprecated and will be removed; move to another runtime'
        )
        yield document.warning(f"metadata.labels[{runtime_rules.LABEL_SUPPORT}]", message)
    for path, message in warn_meaningless(model.spec, "spec"):
        yield document.warning(path, message)


def _job_faults(
    document: Document, job: TrainJob, known: Mapping[_Key, Document], refused: Mapping[int, list[Fault]]
) -> Iterator[Fault]:
    for path, message in trainjob_rules.check_alone(job):
        yield document.error(path, message)
    for path, message in warn_meaningless(job.spec, "spec"):
        yield document.warning(path, message)
    found = _find_runtime(document, job, known)
    if isinstance(found, Fault):
        yield found
        return
    runtime = found.model
    if not isinstance(runtime, ClusterTrainingRuntime | TrainingRuntime) or refused.get(id(found)):
        message = (
            f'Invalid value: {found.kind} "{found.name}" ({found.file}:{found.line}) is not valid itself; '
            "mend it first"
        )
        yield document.error("spec.runtimeRef", message, reason=RUNTIME_NOT_FOUND)
        return
    for path, message in trainjob_rules.check(job, runtime):
        yield document.error(path, message)
    for path, message in completeness_rules.check(job, runtime):
        yield document.warning(path, message)
    if runtime_rules.is_deprecated(runtime):
        message = f'Referenced {found.kind} "{found.name}" is deprecated and will be removed; move to another'
        yield document.warning("spec.runtimeRef", message)


def _find_runtime(document: Document, job: TrainJob, known: Mapping[_Key, Document]) -> Document | Fault:
    """The document of the runtime that a job refers to, or the fault that there is none."""
    ref = job.spec.runtime_ref
    if ref.api_group != API_GROUP or ref.kind not in (_CLUSTER, _NAMESPACED):
        message = (
            f"Invalid value: unsupported runtime: {ref.kind}.{ref.api_group}; "
            f"supported: {_CLUSTER}.{API_GROUP}, {_NAMESPACED}.{API_GROUP}"
        )
        field = "apiGroup" if ref.api_group != API_GROUP else "kind"
        return document.error(f"spec.runtimeRef.{field}", message, reason=RUNTIME_NOT_SUPPORTED)
    namespace = "" if ref.kind == _CLUSTER else document.namespace
    if found := known.get((ref.kind, namespace, ref.name)):
        return found
    place = f" in namespace {namespace}" if namespace else ""
    hint = _hint(ref.kind, ref.name, namespace, known)
    message = f'Invalid value: {ref.kind} "{ref.name}" not found{place}; {hint}'
    return document.error("spec.runtimeRef.name", message, reason=RUNTIME_NOT_FOUND)


def _hint(kind: str, name: str, namespace: str, known: Mapping[_Key, Document]) -> str:
    """What to do about a runtime that is not there."""
    for other_kind, other_namespace, other_name in known:
        if other_name != name:
            continue
        if other_kind == _CLUSTER or other_namespace == namespace or kind == _CLUSTER:
            where = f" (namespace {other_namespace})" if other_namespace else ""
            return f"there is a {other_kind} of that name{where}: set spec.runtimeRef.kind: {other_kind}"
        return f"there is one in namespace {other_namespace}: a job uses runtimes of its own namespace"
    names = sorted(
        other
        for other_kind, other_namespace, other in known
        if (other_kind, other_namespace) == (kind, namespace)
    )
    if close := get_close_matches(name, names, n=1):
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(names)}" if names else "add its manifest to the folder, or a --runtime-source"
