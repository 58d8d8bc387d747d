"""Fields of model classes: their names in manifests, and the class at a field path."""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from reconciler.api.field_paths import FieldPath
from reconciler.api.models.base import Model, to_manifest_name


@cache
def get_fields(model: type[Model]) -> dict[str, Any]:
    """Returns the annotations of a model's fields by their names in a manifest."""
    return {to_manifest_name(name): info.annotation for name, info in model.model_fields.items()}


def find_model(root: type[Model], path: FieldPath) -> type[Model] | None:
    """Returns the model class of the object at ``path``; None where the path leaves the models."""
    here: Any = root
    for part in path:
        if isinstance(part, int):
            here = next((arg for arg in get_args(here) if arg is not Ellipsis), None)
        elif (model := as_model_class(here)) is not None:
            here = get_fields(model).get(part)
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            return None
        here = unwrap(here)
    return as_model_class(here)


def unwrap(annotation: Any) -> Any:
    """Returns the annotation without ``Annotated`` and ``| None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            members = [arg for arg in get_args(annotation) if arg is not type(None)]
            if len(members) != 1:
                return annotation
            annotation = members[0]
        else:
            return annotation


def as_model_class(annotation: Any) -> type[Model] | None:
    """Returns the annotation where it is a model class, None otherwise."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Model) else None
