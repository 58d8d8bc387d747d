"""pydantic's errors as sentences in Kubernetes's words, with a remedy where one helps.

Kubernetes users know ``unknown field``, ``Required value``, ``Invalid value``, ``Unsupported value``: the
first words are theirs, what follows says what to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from reconciler.api.field_paths import Path, render
from reconciler.api.models.base import Model
from reconciler.api.models.core.container import Container
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.core.secret_configmap import NOT_BASE64
from reconciler.api.models.model_fields import fields_of, model_at
from reconciler.api.models.runtime_patch import ContainerPatch, PodSpecPatch

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SHOWN: Final = 80
_TYPES: Final = {
    "tuple_type": "array",
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "bool_type": "boolean",
    "model_type": "object",
    "model_attributes_type": "object",
    "dict_type": "object",
    "quantity_type": "quantity (a string or number, as in 500m or 4Gi)",
    "int_or_string": "integer or string",
}

#: Fields that existed once, or that people expect: the end of their path, and what to write instead.
_GONE: Final = {
    "spec.podTemplateOverrides": "it was replaced by spec.runtimePatches (manager, trainingRuntimeSpec)",
    "spec.podSpecOverrides": "it was replaced by spec.runtimePatches (manager, trainingRuntimeSpec)",
    "spec.datasetConfig": "it is spec.initializer.dataset now",
    "spec.modelConfig": "it is spec.initializer.model now",
    "spec.trainingRuntimeRef": "it is spec.runtimeRef now",
    "spec.labels": "labels of pods go to template.metadata of spec.runtimePatches",
    "spec.annotations": "annotations of pods go to template.metadata of spec.runtimePatches",
    "mlPolicy.torch.numProcPerNode": (
        "the torch policy has it no longer: set spec.trainer.numProcPerNode in the TrainJob, "
        "or leave it out, then the node's GPUs or CPUs decide"
    ),
    "mlPolicy.torch.elasticPolicy": "elastic training is not supported; set a fixed spec.trainer.numNodes",
    "spec.ttlSecondsAfterFinished": "set it in the runtime, at spec.template.spec.ttlSecondsAfterFinished",
    "spec.trainer.resources": "it is spec.trainer.resourcesPerNode",
    "spec.trainer.volumeMounts": "set them by spec.runtimePatches",
}
_NUMBER_WORDS: Final = {
    "auto": "leave the field out for automatic",
    "": "leave the field out for the default",
}


def faults_of(
    error: ValidationError, root: type[Model], *, secret: bool = False
) -> Iterator[tuple[Path, str]]:
    """Path and sentence of everything that a validation error reports.

    Args:
        error: what validating a document raised.
        root: the model it was validated against, to say which fields there are.
        secret: values may be nobody's to read: none is shown.
    """
    for details in error.errors(include_url=False):
        path: Path = details["loc"]
        if secret and details["type"] != "extra_forbidden":
            yield path, _without_value(details)
            continue
        if details["type"] == "items":
            for index, message in details["ctx"]["items"]:
                yield (*path, index), message
        else:
            yield path, _sentence(details, path, root)


def shown(value: Any) -> str:
    """A value as JSON, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _sentence(details: ErrorDetails, path: Path, root: type[Model]) -> str:
    kind, value, limits = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(path, root)
    if kind in _TYPES:
        return _wrong_type(kind, value)
    say = _SENTENCES.get(kind)
    return f"Invalid value: {shown(value)}: {details['msg']}" if say is None else say(value, limits)


def _without_value(details: ErrorDetails) -> str:
    """A sentence that tells no more of a value than its type."""
    if details["type"] == "missing":
        return "Required value: the field is required"
    if details["type"] == NOT_BASE64:
        return f"Invalid value: {details['msg']} (it is not shown)"
    wanted = _TYPES.get(details["type"])
    if wanted is None:
        return "Invalid value (it is not shown)"
    return f"Invalid value: must be of type {wanted}, not {_type_of(details['input'])} (it is not shown)"


def _wrong_type(kind: str, value: Any) -> str:
    wanted = _TYPES[kind]
    sentence = f"Invalid value: {shown(value)}: must be of type {wanted}, not {_type_of(value)}"
    if wanted == "integer" and isinstance(value, str):
        if value in _NUMBER_WORDS:
            return f"{sentence}; {_NUMBER_WORDS[value]}"
        return f"{sentence}; write the number without quotes"
    if wanted == "string" and isinstance(value, bool | int | float):
        return f"{sentence}; put it in quotes (YAML reads yes, no, on, off and numbers as other types)"
    if wanted == "boolean":
        return f"{sentence}; write true or false without quotes"
    if wanted == "array" and isinstance(value, str):
        return f"{sentence}; write a list, as in {shown(value.split()[:4] or [''])}"
    return sentence


def _type_of(value: Any) -> str:
    """The JSON schema's name of a value's type."""
    for types, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list | tuple, "array"),
        (dict, "object"),
    ):
        if isinstance(value, types):
            return name
    return "null"


def _unknown_field(path: Path, root: type[Model]) -> str:
    *parent, name = path
    sentence = f'unknown field "{render(path)}"'
    text = render(part for part in path if not isinstance(part, int))
    for ending, remedy in _GONE.items():
        if text == ending or text.endswith("." + ending):
            return f"{sentence}; {remedy}"
    model = model_at(root, tuple(parent))
    if model is None:
        return sentence
    if (wide := _WIDE.get(model)) is not None and name in fields_of(wide):
        allowed = ", ".join(sorted(fields_of(model)))
        return f"{sentence}: a patch may set only {allowed}; set it in the runtime or in spec.trainer"
    close = get_close_matches(str(name).lower(), {known.lower(): known for known in fields_of(model)}, n=1)
    if close:
        known = next(known for known in fields_of(model) if known.lower() == close[0])
        return f'{sentence}; did you mean "{known}"?'
    return f"{sentence}; known here: {', '.join(sorted(fields_of(model))) or 'no fields'}"


#: What a patch's narrow type is a part of: a field known there is refused with another remedy.
_WIDE: Final[dict[type[Model], type[Model]]] = {ContainerPatch: Container, PodSpecPatch: PodSpec}


def _unsupported(value: Any, limits: dict[str, Any]) -> str:
    return f"Unsupported value: {shown(value)}: supported values: {limits['expected']}".replace("'", '"')


def _short(value: Any, limits: dict[str, Any]) -> str:
    least = limits.get("min_length", 1)
    if value == "":
        return 'Invalid value: "": must not be empty'
    return f"Invalid value: {shown(value)}: must have at least {least} characters or items"


def _too_many(value: Any, limits: dict[str, Any]) -> str:
    most = limits["max_length"]
    return f"Too many: {limits.get('actual_length', len(value))}: must have at most {most} items"


def _too_long(value: Any, limits: dict[str, Any]) -> str:
    return f"Too long: may not be more than {limits['max_length']} characters (it has {len(value)})"


_Sentence = Callable[[Any, dict[str, Any]], str]
_SENTENCES: Final[dict[str, _Sentence]] = {
    "missing": lambda _value, _limits: "Required value: the field is required",
    "literal_error": _unsupported,
    "greater_than_equal": lambda value, limits: (
        f"Invalid value: {shown(value)}: should be greater than or equal to {limits['ge']}"
    ),
    "less_than_equal": lambda value, limits: (
        f"Invalid value: {shown(value)}: should be less than or equal to {limits['le']}"
    ),
    "less_than": lambda value, limits: f"Invalid value: {shown(value)}: should be less than {limits['lt']}",
    "string_too_short": _short,
    "too_short": _short,
    "string_too_long": _too_long,
    "too_long": _too_many,
    "string_pattern_mismatch": lambda value, limits: (
        f"Invalid value: {shown(value)}: should match {limits['pattern']}"
    ),
    "rule": lambda value, limits: (
        f"Invalid value: {limits['message']}"
        if isinstance(value, dict | Model | list | tuple)
        else f"Invalid value: {shown(value)}: {limits['message']}"
    ),
    "quantity": lambda value, _limits: (
        f"Invalid value: {shown(value)}: not a Kubernetes quantity; write a number and one of "
        "m, k, M, G, T, Ki, Mi, Gi, Ti, as in 500m or 4Gi"
    ),
    "timestamp": lambda value, _limits: (
        f"Invalid value: {shown(value)}: must be an RFC 3339 time, as in 2026-01-31T12:00:00Z"
    ),
    "finite_number": lambda value, _limits: f"Invalid value: {shown(value)}: must be a finite number",
}
