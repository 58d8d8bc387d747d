"""CustomResourceDefinitions of the models, for the files in ``crds/``, which clusters and editors read.

pydantic's JSON schema is turned into a *structural* schema: no references, no ``null`` alternatives, no
``additionalProperties: false`` (an API server prunes or rejects unknown fields by itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.api.models.base import Model
from reconciler.api.models.older_fields import OLDER_FIELDS
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob
from reconciler.names import API_GROUP

VERSION: Final = "v1alpha1"
#: Keywords of JSON schema that a structural schema does not have or does not need.
_DROPPED: Final = frozenset(
    {"title", "additionalProperties", "$defs", "exclusiveMaximum", "exclusiveMinimum"}
)
_INTEGER_MINIMA: Final = (-(2**31), -(2**63))
_JOB_STATE: Final = '.status.conditions[?(@.status=="True")].type'
_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


@dataclass(frozen=True)
class _Kind:
    model: type[Model]
    plural: str
    scope: str
    columns: tuple[dict[str, str], ...] = (_AGE,)
    status: bool = False


_KINDS: Final = (
    _Kind(
        TrainJob,
        "trainjobs",
        "Namespaced",
        ({"name": "State", "type": "string", "jsonPath": _JOB_STATE}, _AGE),
        status=True,
    ),
    _Kind(TrainingRuntime, "trainingruntimes", "Namespaced"),
    _Kind(ClusterTrainingRuntime, "clustertrainingruntimes", "Cluster"),
)


def build_crds() -> dict[str, dict[str, Any]]:
    """Returns the CustomResourceDefinition of each kind of the Trainer's group, by file name in ``crds/``."""
    return {f"{API_GROUP}_{kind.plural}.yaml": _build_crd(kind) for kind in _KINDS}


def _build_crd(kind: _Kind) -> dict[str, Any]:
    name = kind.model.__name__
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": list(kind.columns),
        "schema": {"openAPIV3Schema": build_structural_schema(kind.model)},
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{API_GROUP}"},
        "spec": {
            "group": API_GROUP,
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": kind.plural,
                "singular": name.lower(),
            },
            "scope": kind.scope,
            "versions": [version],
        },
    }


def build_structural_schema(model: type[Model]) -> dict[str, Any]:
    """Returns the OpenAPI v3 schema of an object for a CustomResourceDefinition."""
    schema = model.model_json_schema(by_alias=True)
    result = _to_structural(schema, schema.get("$defs", {}))
    properties = result["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    result["required"] = [
        name for name in result["required"] if name not in ("apiVersion", "kind", "metadata")
    ]
    return result


def _to_structural(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(schema)
    if reference := merged.pop("$ref", None):
        name = reference.rpartition("/")[2]
        merged = {**_without_older_fields(name, defs[name]), **merged}
    if (alternatives := _find_non_null(merged)) is not None:
        del merged["anyOf"]
        merged = {**_to_structural(alternatives, defs), **merged}
    result: dict[str, Any] = {}
    for key, value in merged.items():
        if key == "properties":
            result[key] = {name: _to_structural(inner, defs) for name, inner in sorted(value.items())}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, Mapping)):
            result[key] = _to_structural(value, defs)
        elif key == "const":
            result["enum"] = [value]
        elif key == "default":
            if value not in (None, [], {}):
                result[key] = value
        elif key == "minimum" and value in _INTEGER_MINIMA:
            continue
        elif key not in _DROPPED:
            result[key] = value
    if result.get("description"):
        result["description"] = result["description"].replace("``", "")
    return result


def _without_older_fields(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the schema of a type without the fields that a cluster refuses."""
    older = OLDER_FIELDS.get(name)
    if older is None:
        return schema
    kept = {field: inner for field, inner in schema["properties"].items() if field not in older}
    return {**schema, "properties": kept}


def _find_non_null(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the other alternative of an ``anyOf`` with ``null``; None where there is no such ``anyOf``."""
    alternatives = schema.get("anyOf", [])
    others = [alternative for alternative in alternatives if alternative != {"type": "null"}]
    return others[0] if len(others) == 1 and len(alternatives) == 2 else None
