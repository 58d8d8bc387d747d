"""Admission of the documents of a folder: duplicates, references to runtimes, and the rules of every subject.

Pure, and called on all documents whenever the folder is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Final, TypeAlias

from reconciler.api.faults import DUPLICATE, RUNTIME_NOT_FOUND, Fault
from reconciler.api.label_rules import check_template_labels
from reconciler.api.loading.document import Document
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation import completeness_rules, runtime_rules, trainjob_rules
from reconciler.api.validation.jobset import jobset_rules, pod_rules
from reconciler.api.validation.unsupported_fields import find_older_fields, find_unsupported_fields
from reconciler.names import API_GROUP, RUNTIME_NOT_SUPPORTED

_CLUSTER: Final = "ClusterTrainingRuntime"
_NAMESPACED: Final = "TrainingRuntime"
_UNIQUE_KINDS: Final = frozenset({"TrainJob", _CLUSTER, _NAMESPACED, "Secret", "ConfigMap"})

_Key: TypeAlias = tuple[str, str, str]


def check(documents: Sequence[Document], runtimes: Iterable[Document] = ()) -> list[Fault]:
    """Returns every fault that the documents have together: duplicates, then the faults of each document.

    Args:
        documents: all of the folder; those with faults of their own take part by name only.
        runtimes: further runtimes (built-in, or of other sources); a document of the same kind and name takes
            precedence, and their own faults are not reported.

    Returns:
        Errors and warnings, each with the object it belongs to. A runtime that is missing has
        ``reason == RUNTIME_NOT_FOUND``, an object defined more than once ``DUPLICATE``.
    """
    known = {_key(document): document for document in runtimes}
    known |= {_key(document): document for document in documents if document.kind in (_CLUSTER, _NAMESPACED)}
    faults = [*_find_duplicates(documents)]
    runtime_errors = {
        id(document): [*_find_runtime_errors(document)] for document in (*known.values(), *documents)
    }
    for document in documents:
        model = document.model
        if isinstance(model, Runtime):
            faults += runtime_errors[id(document)]
            faults += _find_runtime_warnings(document, model)
        elif isinstance(model, TrainJob):
            faults += _find_job_faults(document, model, known, runtime_errors)
    return faults


def _key(document: Document) -> _Key:
    return document.kind, document.namespace, document.name


def _find_duplicates(documents: Sequence[Document]) -> Iterator[Fault]:
    """Yields a fault for each of the documents that define the same object; it names all of them."""
    by_key: dict[_Key, list[Document]] = {}
    for document in documents:
        if document.kind in _UNIQUE_KINDS and document.name:
            by_key.setdefault(_key(document), []).append(document)
    for same in by_key.values():
        if len(same) < 2:
            continue
        listed = " and ".join(f"{document.file}:{document.line}" for document in same)
        for document in same:
            message = (
                f"Duplicate value: {document.object} is defined more than once: {listed}; keep one of them"
            )
            yield document.error("metadata.name", message, reason=DUPLICATE)


def _find_runtime_errors(document: Document) -> Iterator[Fault]:
    """Yields the faults that upstream's webhook, JobSet and the API server find in a runtime."""
    model = document.model
    if not isinstance(model, Runtime):
        return
    template, jobset = model.spec.template, model.spec.jobset
    findings = chain(
        runtime_rules.check(model),
        check_template_labels(template.metadata if template else None, "spec.template.metadata"),
        jobset_rules.check(jobset),
        *(pod_rules.check(job, index) for index, job in enumerate(jobset.replicated_jobs)),
    )
    yield from (document.error(path, message) for path, message in findings)


def _find_runtime_warnings(document: Document, model: Runtime) -> Iterator[Fault]:
    if runtime_rules.is_deprecated(model):
        message = (
            f'{document.kind} "{document.name}" is deprecated and will be removed; move to another runtime'
        )
        yield document.warning(f"metadata.labels[{runtime_rules.LABEL_SUPPORT}]", message)
    for path, message in (*find_unsupported_fields(model.spec), *find_older_fields(model.spec)):
        yield document.warning(path, message)


def _find_job_faults(
    document: Document,
    job: TrainJob,
    known: Mapping[_Key, Document],
    runtime_errors: Mapping[int, Sequence[Fault]],
) -> Iterator[Fault]:
    for path, message in trainjob_rules.check_own_fields(job):
        yield document.error(path, message)
    for path, message in find_unsupported_fields(job.spec):
        yield document.warning(path, message)
    found = _find_runtime(document, job, known)
    if isinstance(found, Fault):
        yield found
        return
    runtime = found.model
    if not isinstance(runtime, Runtime) or runtime_errors[id(found)]:
        message = (
            f'Invalid value: {found.kind} "{found.name}" ({found.file}:{found.line}) is not valid itself; '
            "fix it first"
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
    """Returns the document of the runtime that a job refers to, or the fault that there is none."""
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
    hint = _suggest(ref.kind, ref.name, namespace, known)
    message = f'Invalid value: {ref.kind} "{ref.name}" not found{place}; {hint}'
    return document.error("spec.runtimeRef.name", message, reason=RUNTIME_NOT_FOUND)


def _suggest(kind: str, name: str, namespace: str, known: Mapping[_Key, Document]) -> str:
    """Returns a remedy for a runtime that was not found."""
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
