"""One composed YAML document to :class:`~reconciler.api.loading.document.Document`: kind, metadata, schema.

Every fault of an object by itself is reported here, all of them at once; what needs other objects is in
:mod:`reconciler.api.validation.admission`. Kinds that nothing here reads are not validated, and a warning
says that they are ignored: a folder may also hold what its owner applies to a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from reconciler.api.faults import NOT_RENDERED, Fault, format_value
from reconciler.api.field_paths import FieldPath, render
from reconciler.api.label_rules import check_labels
from reconciler.api.loading.document import Document
from reconciler.api.loading.fractional_quantities import find_fractions
from reconciler.api.loading.schema_messages import describe_errors
from reconciler.api.loading.templates import check_template
from reconciler.api.loading.yaml_composer import FieldLocation, YamlDocument, YamlFault
from reconciler.api.models.base import Model
from reconciler.api.models.core.secret_configmap import ConfigMap, Secret
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.name_syntax import validate_label_1035, validate_label_1123, validate_subdomain
from reconciler.names import API_GROUP, API_VERSION, DEFAULT_NAMESPACE

_KINDS: Final[dict[str, type[Model]]] = {
    "TrainJob": TrainJob,
    "TrainingRuntime": TrainingRuntime,
    "ClusterTrainingRuntime": ClusterTrainingRuntime,
}
_CORE_KINDS: Final[dict[str, type[Model]]] = {"Secret": Secret, "ConfigMap": ConfigMap}
#: The jobs of the first Training Operator, for a warning that points to TrainJob.
_OLD_JOBS: Final = frozenset({"PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob", "MXJob"})
#: Kinds of which only a part is read, where it is needed, by kind and version.
_READ_IN_PART: Final = frozenset({("PriorityClass", "scheduling.k8s.io/v1")})
#: Kinds that run something, which people may expect to run here.
_WORKLOADS: Final = frozenset(
    {"CronJob", "DaemonSet", "Deployment", "Job", "JobSet", "Pod", "ReplicaSet", "StatefulSet"}
)
_LISTS: Final = frozenset({"List", *(f"{kind}List" for kind in (*_KINDS, *_CORE_KINDS))})

_Finding: TypeAlias = tuple[FieldPath, str]


def decode(composed: YamlDocument, file: str) -> Iterator[Document]:
    """Yields the objects of one YAML document: itself, or the items where it is a list."""
    value, location = composed.value, composed.location
    items = value.get("items") if isinstance(value, dict) and _text(value.get("kind")) in _LISTS else None
    if not isinstance(items, list):
        yield _decode_object(value, location, file, composed.faults)
        return
    for index, item in enumerate(items):
        prefix: FieldPath = ("items", index)
        faults = tuple(
            replace(fault, path=fault.path[2:]) for fault in composed.faults if fault.path[:2] == prefix
        )
        yield _decode_object(item, location.at(prefix), file, faults)


def _decode_object(
    value: Any, location: FieldLocation, file: str, text_faults: Sequence[YamlFault]
) -> Document:
    raw = value if isinstance(value, dict) else {}
    kind, version = _text(raw.get("kind")), _text(raw.get("apiVersion"))
    given = raw.get("metadata")
    metadata: dict[str, Any] = given if isinstance(given, dict) else {}
    errors: list[_Finding] = []
    warnings: list[_Finding] = []
    model = None
    template = check_template(raw, kind=kind, version=version, file=file)
    if not isinstance(value, dict):
        # A text that is no manifest may be anything, even the content of a password file: it is not shown.
        what = "a text" if isinstance(value, str) else format_value(value)
        message = f"Invalid value: {what}: a manifest is an object with apiVersion, kind, metadata"
        errors.append(((), message))
    elif template is None and (model_class := _find_model(kind, version, errors, warnings)) is not None:
        errors += _check_metadata(metadata, kind) if isinstance(given, dict) else ()
        model = _validate(raw, model_class, errors)
        warnings += _find_warnings(raw, metadata, kind)
    cluster_scoped = kind == "ClusterTrainingRuntime"
    document = Document(
        kind=kind,
        namespace="" if cluster_scoped else _text(metadata.get("namespace")) or DEFAULT_NAMESPACE,
        name=_text(metadata.get("name")),
        file=file,
        line=location.line,
        raw=raw,
        location=location,
    )
    faults = [
        replace(document.error(render(fault.path), fault.message), line=fault.line) for fault in text_faults
    ]
    faults += _sort(document.error(render(path), message) for path, message in errors)
    faults += _sort(document.warning(render(path), message) for path, message in warnings)
    if template is not None:
        severity, field, message = template
        make = document.error if severity == "error" else document.warning
        faults.append(make(field, message, reason=NOT_RENDERED))
    return replace(document, model=None if errors or text_faults else model, faults=tuple(faults))


def _sort(faults: Iterator[Fault]) -> list[Fault]:
    """Returns the faults in the order of their lines, without repetitions."""
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.line)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _find_model(
    kind: str, version: str, errors: list[_Finding], warnings: list[_Finding]
) -> type[Model] | None:
    """Returns the model of a kind; None, and perhaps an error, where there is none."""
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
            errors.append((("kind",), _describe_unknown_kind(kind, version)))
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
    elif (version != "v1" or kind not in _CORE_KINDS) and (kind, version) not in _READ_IN_PART:
        remedy = "; write it as a TrainJob to run it here" if kind in _WORKLOADS else ""
        read = ", ".join((*_KINDS, *_CORE_KINDS))
        warnings.append((("kind",), f"{kind} ({version}) is ignored: only {read} are read here{remedy}"))
    return _CORE_KINDS.get(kind) if version == "v1" else None


def _describe_unknown_kind(kind: str, version: str) -> str:
    names = {name.lower(): name for name in _KINDS}
    close = get_close_matches(kind.lower(), names, n=1)
    remedy = f'did you mean "{names[close[0]]}"?' if close else f"known kinds: {', '.join(_KINDS)}"
    return f'no matches for kind "{kind}" in version "{version}"; {remedy}'


def _validate(raw: dict[str, Any], model_class: type[Model], errors: list[_Finding]) -> Any:
    """Returns the model, or None and adds the schema's errors, for each path at most one."""
    try:
        return model_class.model_validate(_remove_nulls(raw))
    except ValidationError as error:
        reported = {path for path, _ in errors}
        found = describe_errors(error, model_class, secret=model_class is Secret)
        errors += [(path, message) for path, message in found if path not in reported]
        return None


def _remove_nulls(value: Any) -> Any:
    """Returns decoded data without null fields, as Kubernetes reads it; a null in a list is an error."""
    if isinstance(value, dict):
        return {key: _remove_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_remove_nulls(inner) for inner in value]
    return value


def _check_metadata(metadata: dict[str, Any], kind: str) -> Iterator[_Finding]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if name is None or name == "":
        remedy = "; generateName would make a new job at every reading, so it cannot be used in a folder"
        yield (
            ("metadata", "name"),
            f"Required value: name is required{remedy if metadata.get('generateName') else ''}",
        )
    elif isinstance(name, str):
        problem = validate_label_1035(name) if kind == "TrainJob" else validate_subdomain(name)
        if problem:
            yield ("metadata", "name"), f"Invalid value: {format_value(name)}: metadata.name {problem}"
    if isinstance(namespace, str) and namespace and (problem := validate_label_1123(namespace)):
        yield ("metadata", "namespace"), f"Invalid value: {format_value(namespace)}: {problem}"
    yield from check_labels(metadata, ("metadata",))


def _find_warnings(raw: dict[str, Any], metadata: dict[str, Any], kind: str) -> Iterator[_Finding]:
    if kind == "ClusterTrainingRuntime" and metadata.get("namespace"):
        yield ("metadata", "namespace"), "a ClusterTrainingRuntime is in no namespace; the field is ignored"
    if metadata.get("finalizers"):
        yield ("metadata", "finalizers"), "has no effect here: no controller here acts on it"
    for path, value in find_fractions(raw) if kind != "Secret" else ():
        yield path, f'{value} is not in quotes: a cluster takes a fraction only as text; write "{value}"'
