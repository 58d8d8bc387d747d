"""Messages for pydantic's errors, in the words of Kubernetes and with a remedy where one helps.

A message begins as Kubernetes begins it (``unknown field``, ``Required value``, ``Invalid value``,
``Unsupported value``); what follows says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reconciler.api.faults import format_value
from reconciler.api.field_paths import FieldPath, render
from reconciler.api.models.base import Model
from reconciler.api.models.core.container import Container
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.core.secret_configmap import NOT_BASE64
from reconciler.api.models.model_fields import find_model, get_fields
from reconciler.api.models.runtime_patch import ContainerPatch, PodSpecPatch

#: pydantic's error type -> the type that the schema wants.
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
#: Type of a decoded value -> its name in JSON schema; null has none of these.
_JSON_TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}

#: The end of the path of a field that older versions had, or that people expect -> what to write instead.
_REPLACED_FIELDS: Final = {
    "spec.podTemplateOverrides": "it was replaced by spec.runtimePatches (manager, trainingRuntimeSpec)",
    "spec.podSpecOverrides": "it was replaced by spec.runtimePatches (manager, trainingRuntimeSpec)",
    "spec.datasetConfig": "it is spec.initializer.dataset now",
    "spec.modelConfig": "it is spec.initializer.model now",
    "spec.trainingRuntimeRef": "it is spec.runtimeRef now",
    "spec.labels": "labels of pods go to template.metadata of spec.runtimePatches",
    "spec.annotations": "annotations of pods go to template.metadata of spec.runtimePatches",
    "mlPolicy.torch.elasticPolicy": "elastic training is not supported; set a fixed spec.trainer.numNodes",
    "spec.ttlSecondsAfterFinished": "set it in the runtime, at spec.template.spec.ttlSecondsAfterFinished",
    "spec.trainer.resources": "it is spec.trainer.resourcesPerNode",
    "spec.trainer.volumeMounts": "set them by spec.runtimePatches",
}
_NUMBER_WORDS: Final = {
    "auto": "leave the field out for automatic",
    "": "leave the field out for the default",
}


def describe_errors(
    error: ValidationError, root: type[Model], *, secret: bool = False
) -> Iterator[tuple[FieldPath, str]]:
    """Yields path and message of everything that a validation error reports.

    Args:
        error: the error of validating a document.
        root: the model that it was validated against, to name the fields there are.
        secret: no message may show a value.
    """
    for details in error.errors(include_url=False):
        path: FieldPath = details["loc"]
        if secret and details["type"] != "extra_forbidden":
            yield path, _describe_without_value(details)
        elif details["type"] == "items":
            for index, message in details["ctx"]["items"]:
                yield (*path, index), message
        else:
            yield path, _describe(details, path, root)


def _describe(details: ErrorDetails, path: FieldPath, root: type[Model]) -> str:
    kind, value, limits = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _describe_unknown_field(path, root)
    if kind in _TYPES:
        return _describe_wrong_type(kind, value)
    if (format_message := _MESSAGES.get(kind)) is not None:
        return format_message(value, limits)
    problem = _INVALID[kind].format(**limits) if kind in _INVALID else details["msg"]
    return f"Invalid value: {format_value(value)}: {problem}"


def _describe_without_value(details: ErrorDetails) -> str:
    """Returns a message that shows of a value no more than its type."""
    if details["type"] == "missing":
        return "Required value: the field is required"
    if details["type"] == NOT_BASE64:
        return f"Invalid value: {details['msg']} (it is not shown)"
    wanted = _TYPES.get(details["type"])
    if wanted is None:
        return "Invalid value (it is not shown)"
    return f"Invalid value: must be of type {wanted}, not {_name_type(details['input'])} (it is not shown)"


def _describe_wrong_type(kind: str, value: Any) -> str:
    wanted = _TYPES[kind]
    sentence = f"Invalid value: {format_value(value)}: must be of type {wanted}, not {_name_type(value)}"
    if wanted == "integer" and isinstance(value, str):
        if value in _NUMBER_WORDS:
            return f"{sentence}; {_NUMBER_WORDS[value]}"
        return f"{sentence}; write the number without quotes"
    if wanted == "string" and isinstance(value, bool | int | float):
        return f"{sentence}; put it in quotes (YAML reads yes, no, on, off and numbers as other types)"
    if wanted == "boolean":
        return f"{sentence}; write true or false without quotes"
    if wanted == "array" and isinstance(value, str):
        return f"{sentence}; write a list, as in {format_value(value.split()[:4] or [''])}"
    return sentence


def _name_type(value: Any) -> str:
    return _JSON_TYPES.get(type(value), "null")


def _describe_unknown_field(path: FieldPath, root: type[Model]) -> str:
    *parent, name = path
    sentence = f'unknown field "{render(path)}"'
    text = render(part for part in path if not isinstance(part, int))
    for ending, remedy in _REPLACED_FIELDS.items():
        if text == ending or text.endswith("." + ending):
            return f"{sentence}; {remedy}"
    model = find_model(root, tuple(parent))
    if model is None:
        return sentence
    if (patched := _PATCHED.get(model)) is not None and name in get_fields(patched):
        allowed = ", ".join(sorted(get_fields(model)))
        return f"{sentence}: a patch may set only {allowed}; set it in the runtime or in spec.trainer"
    known = {field.lower(): field for field in get_fields(model)}
    if close := get_close_matches(str(name).lower(), known, n=1):
        return f'{sentence}; did you mean "{known[close[0]]}"?'
    return f"{sentence}; known here: {', '.join(sorted(known.values())) or 'no fields'}"


#: Type of a patch -> type that it patches, whose other fields a patch may not set.
_PATCHED: Final[dict[type[Model], type[Model]]] = {ContainerPatch: Container, PodSpecPatch: PodSpec}


def _format_short(value: Any, limits: dict[str, Any]) -> str:
    if value == "":
        return 'Invalid value: "": must not be empty'
    return (
        f"Invalid value: {format_value(value)}: must have at least {limits['min_length']} characters or items"
    )


def _format_rule(value: Any, limits: dict[str, Any]) -> str:
    """Returns a rule's own message; an object or a list is not shown."""
    shown = "" if isinstance(value, dict | Model | list | tuple) else f"{format_value(value)}: "
    return f"Invalid value: {shown}{limits['message']}"


#: pydantic's error type -> what follows the value in the message, with the limits of the error.
_INVALID: Final = {
    "greater_than_equal": "should be greater than or equal to {ge}",
    "less_than_equal": "should be less than or equal to {le}",
    "less_than": "should be less than {lt}",
    "string_pattern_mismatch": "should match {pattern}",
    "quantity": (
        "not a Kubernetes quantity; write a number and one of "
        "m, k, M, G, T, Ki, Mi, Gi, Ti, as in 500m or 4Gi"
    ),
    "timestamp": "must be an RFC 3339 time, as in 2026-01-31T12:00:00Z",
    "finite_number": "must be a finite number",
}
#: pydantic's error type -> the message, of the value and the limits of the error.
_MESSAGES: Final[dict[str, Callable[[Any, dict[str, Any]], str]]] = {
    "missing": lambda _value, _limits: "Required value: the field is required",
    "literal_error": lambda value, limits: (
        f"Unsupported value: {format_value(value)}: supported values: {limits['expected']}".replace("'", '"')
    ),
    "string_too_short": _format_short,
    "too_short": _format_short,
    "string_too_long": lambda value, limits: (
        f"Too long: may not be more than {limits['max_length']} characters (it has {len(value)})"
    ),
    "too_long": lambda value, limits: (
        f"Too many: {limits.get('actual_length', len(value))}: must have at most {limits['max_length']} items"
    ),
    "rule": _format_rule,
}
