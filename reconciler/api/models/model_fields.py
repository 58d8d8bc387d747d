"""Looking models up by field path: which class stands at a path, and which fields it has."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from reconciler.api.field_paths import Path
from reconciler.api.models.base import Model, manifest_name


@cache
def fields_of(model: type[Model]) -> dict[str, Any]:
    """Annotations of a model's fields by their names in a manifest."""
    return {manifest_name(name): info.annotation for name, info in model.model_fields.items()}


def model_at(root: type[Model], path: Path) -> type[Model] | None:
    """The model class of the object at ``path``; None where the path leaves the models."""
    here: Any = root
    for part in path:
        if isinstance(part, int):
            here = next((arg for arg in get_args(here) if arg is not Ellipsis), None)
        elif (model := as_model(here)) is not None:
            here = fields_of(model).get(part)
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            return None
        here = bare(here)
    return as_model(here)


def bare(annotation: Any) -> Any:
    """The annotation without ``Annotated`` and ``| None``."""
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


def as_model(annotation: Any) -> type[Model] | None:
    """The annotation itself where it is a model class."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Model) else None


def models_under(root: type[Model]) -> Iterator[type[Model]]:
    """``root`` and every model class that its fields lead to, each once."""
    seen: set[type[Model]] = set()
    waiting: list[Any] = [root]
    while waiting:
        here = bare(waiting.pop())
        model = as_model(here)
        if model is None:
            waiting += [arg for arg in get_args(here) if arg is not Ellipsis]
        elif model not in seen:
            seen.add(model)
            yield model
            waiting += fields_of(model).values()
