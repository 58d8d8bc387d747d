"""One decoded mapping to a :class:`~reconciler.api.loading.document.Document`: kind, metadata, schema.

Everything that can be said of an object by itself is said here, all of it at once; what needs other
objects is in :mod:`reconciler.api.validation.admission`. Kinds of other API groups pass unread: a folder may hold what
else its owner applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from reconciler.api.faults import Fault
from reconciler.api.field_paths import Path, render
from reconciler.api.loading.composer import Composed, Place, Problem
from reconciler.api.loading.document import Document
from reconciler.api.loading.schema_messages import faults_of, shown
from reconciler.api.loading.templates import NOT_RENDERED, unrendered
from reconciler.api.models.base import Model
from reconciler.api.models.core.secret_configmap import ConfigMap, Secret
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.name_syntax import label_1035_problem, label_1123_problem, subdomain_problem
from reconciler.api.validation.fractional_quantities import fractions
from reconciler.api.validation.labels import map_errors
from reconciler.names import API_GROUP, API_VERSION, DEFAULT_NAMESPACE

_KINDS: Final[dict[str, type[Model]]] = {
    "TrainJob": TrainJob,
    "TrainingRuntime": TrainingRuntime,
    "ClusterTrainingRuntime": ClusterTrainingRuntime,
}
_CORE_KINDS: Final[dict[str, type[Model]]] = {"Secret": Secret, "ConfigMap": ConfigMap}
#: The first Training Operator's jobs, which people still have lying about.
_OLD_JOBS: Final = frozenset({"PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob", "MXJob"})
_LISTS: Final = frozenset({"List", *(f"{kind}List" for kind in (*_KINDS, *_CORE_KINDS))})


_Found = tuple[Path, str]


def documents_of(composed: Composed, file: str) -> Iterator[Document]:
    """The objects of one YAML document: itself, or the items where it is a list."""
    value, place = composed.value, composed.place
    items = value.get("items") if isinstance(value, dict) and _text(value.get("kind")) in _LISTS else None
    if not isinstance(items, list):
        yield _document(value, place, file, composed.problems)
        return
    for index, item in enumerate(items):
        prefix: Path = ("items", index)
        problems = tuple(
            replace(problem, path=problem.path[2:])
            for problem in composed.problems
            if problem.path[:2] == prefix
        )
        yield _document(item, place.at(*prefix), file, problems)


def _document(value: Any, place: Place, file: str, problems: tuple[Problem, ...]) -> Document:
    raw = value if isinstance(value, dict) else {}
    kind, version = _text(raw.get("kind")), _text(raw.get("apiVersion"))
    given = raw.get("metadata")
    metadata: dict[str, Any] = given if isinstance(given, dict) else {}
    errors: list[_Found] = []
    warnings: list[_Found] = []
    recipe = unrendered(raw, kind=kind, version=version, file=file)
    model_class = _class_of(kind, version, errors, warnings) if recipe is None else None
    model = None
    if model_class is not None:
        errors += _metadata_errors(metadata, kind) if isinstance(given, dict) else ()
        model = _validated(raw, model_class, errors)
        warnings += _own_warnings(raw, metadata, kind)
    if not isinstance(value, dict):
        # A text that is no manifest may be anything, a password file's content, too.
        what = "a text" if isinstance(value, str) else shown(value)
        message = f"Invalid value: {what}: a manifest is an object with apiVersion, kind, metadata"
        errors = [((), message)]
    cluster_scoped = kind == "ClusterTrainingRuntime"
    document = Document(
        kind=kind,
        api_version=version,
        namespace="" if cluster_scoped else _text(metadata.get("namespace")) or DEFAULT_NAMESPACE,
        name=_text(metadata.get("name")),
        file=file,
        line=place.line,
        raw=raw,
        place=place,
    )
    twice = [
        replace(document.error(render(problem.path), problem.message), line=problem.line)
        for problem in problems
    ]
    faults = [*twice, *_faults(document, errors, "error"), *_faults(document, warnings, "warning")]
    if recipe is not None:
        severity, path, message = recipe
        say = document.error if severity == "error" else document.warning
        faults.append(say(path, message, reason=NOT_RENDERED))
    return replace(document, model=None if errors or twice else model, faults=tuple(faults))


def _faults(document: Document, found: list[_Found], severity: str) -> Iterator[Fault]:
    """One fault for each, in the order of their lines, nothing said twice."""
    make: Callable[[str, str], Fault] = document.error if severity == "error" else document.warning
    faults = dict.fromkeys(make(render(path), message) for path, message in found)
    yield from sorted(faults, key=lambda fault: fault.line)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _class_of(
    kind: str,
    version: str,
    errors: list[_Found],
    warnings: list[_Found],
) -> type[Model] | None:
    """The model of a document's kind; None, perhaps with an error, where there is none."""
    for name, text in (("apiVersion", version), ("kind", kind)):
        if not text:
            example = API_VERSION if name == "apiVersion" else "TrainJob"
            errors.append(
                ((name,), f"Required value: {name} must be set to a string, as in {name}: {example}")
            )
    if not version or not kind:
        return None
    group = version.rpartition("/")[0]
    if group == API_GROUP and version != API_VERSION:
        errors.append(
            (("apiVersion",), f'Unsupported value: "{version}": this group is served as {API_VERSION}')
        )
    elif group == API_GROUP:
        if kind not in _KINDS:
            errors.append((("kind",), _unknown_kind(kind, version)))
        return _KINDS.get(kind)
    elif kind in _KINDS:
        errors.append(
            (("apiVersion",), f'no matches for kind "{kind}" in version "{version}"; write {API_VERSION}')
        )
    elif kind in _OLD_JOBS and group == "kubeflow.org":
        message = (
            f"{kind} is a job of the first Training Operator and is not run here; write it as a TrainJob"
        )
        warnings.append((("kind",), message))
    return _CORE_KINDS.get(kind) if version == "v1" else None


def _unknown_kind(kind: str, version: str) -> str:
    names = {name.lower(): name for name in _KINDS}
    close = get_close_matches(kind.lower(), names, n=1)
    remedy = f'did you mean "{names[close[0]]}"?' if close else f"known kinds: {', '.join(_KINDS)}"
    return f'no matches for kind "{kind}" in version "{version}"; {remedy}'


def _validated(raw: dict[str, Any], model_class: type[Model], errors: list[_Found]) -> Any:
    try:
        return model_class.model_validate(_without_nulls(raw))
    except ValidationError as error:
        said = {path for path, _ in errors}
        told = faults_of(error, model_class, secret=model_class is Secret)
        errors += [(path, message) for path, message in told if path not in said]
        return None


def _without_nulls(value: Any) -> Any:
    """A null field is an absent one, as Kubernetes has it; a null in a list stays, and is an error."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _metadata_errors(metadata: dict[str, Any], kind: str) -> Iterator[_Found]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if name is None or name == "":
        remedy = "; generateName makes a new job at every look, so it cannot be used in a folder"
        yield (
            ("metadata", "name"),
            f"Required value: name is required{remedy if metadata.get('generateName') else ''}",
        )
    elif isinstance(name, str):
        problem = label_1035_problem(name) if kind == "TrainJob" else subdomain_problem(name)
        if problem:
            yield ("metadata", "name"), f"Invalid value: {shown(name)}: metadata.name {problem}"
    if isinstance(namespace, str) and namespace and (problem := label_1123_problem(namespace)):
        yield ("metadata", "namespace"), f"Invalid value: {shown(namespace)}: {problem}"
    yield from map_errors(metadata, ("metadata",))


def _own_warnings(raw: dict[str, Any], metadata: dict[str, Any], kind: str) -> Iterator[_Found]:
    if kind == "ClusterTrainingRuntime" and metadata.get("namespace"):
        yield ("metadata", "namespace"), "a ClusterTrainingRuntime is in no namespace; the field is ignored"
    if metadata.get("finalizers"):
        yield ("metadata", "finalizers"), "has no effect here: no controller here acts on it"
    for path, value in fractions(raw) if kind != "Secret" else ():
        yield path, f'{value} is not in quotes: a cluster takes a fraction only as text; write "{value}"'
