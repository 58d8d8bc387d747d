"""crds/ is generated from the models, and has every field of upstream's schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob
from reconciler.api.crds import build_crds, build_structural_schema
from tests.api.manifests import runtime, trainjob

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "conformance"
UPSTREAM = {
    TrainJob: FOLDER / "schema" / "trainjob.schema.json",
    ClusterTrainingRuntime: FOLDER / "schema" / "clustertrainingruntime.schema.json",
    TrainingRuntime: FOLDER / "schema" / "clustertrainingruntime.schema.json",
}
#: Used by server-side apply only; and `required`, which has `spec` in addition here.
IGNORED = {"description", "x-kubernetes-map-type", "required"}


def _file(name: str) -> Any:
    return yaml.load((ROOT / "crds" / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def test_the_files_are_generated_from_the_models():
    assert {path.name for path in (ROOT / "crds").glob("*.yaml")} == set(build_crds())
    for name, definition in build_crds().items():
        assert _file(name) == definition, "run scripts/generate_crds.py"


def _flat(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Path of each property -> its own facets."""
    facets = {key: value for key, value in schema.items() if key not in IGNORED}
    found: dict[str, dict[str, Any]] = {}
    for name, inner in facets.pop("properties", {}).items():
        found |= _flat(inner, f"{path}.{name}")
    if isinstance(items := facets.pop("items", None), dict):
        found |= _flat(items, f"{path}[]")
    if isinstance(values := facets.pop("additionalProperties", None), dict):
        found |= _flat(values, f"{path}{{}}")
    if facets.get("x-kubernetes-list-type") == "atomic":
        del facets["x-kubernetes-list-type"]
    if "enum" in facets:
        facets["enum"] = sorted(facets["enum"])
    if "x-kubernetes-validations" in facets:
        rules = facets["x-kubernetes-validations"]
        facets["x-kubernetes-validations"] = sorted((rule["rule"], rule["message"]) for rule in rules)
    if facets.get("format") == "int64":
        del facets["format"]
    return {path: facets, **found}


@pytest.mark.parametrize("model", UPSTREAM, ids=lambda model: model.__name__)
@pytest.mark.skipif(not FOLDER.exists(), reason="the conformance data is not beside this checkout")
def test_every_field_has_the_type_bounds_and_rules_of_upstreams_schema(model):
    # Arrange
    upstream = _flat(json.loads(UPSTREAM[model].read_text(encoding="utf-8")))

    # Act
    own = _flat(build_structural_schema(model))

    # Assert
    assert set(own) == set(upstream)
    assert own == upstream


def _required(schema: dict[str, Any], path: str = "") -> dict[str, list[str]]:
    found = {path: sorted(schema["required"])} if schema.get("required") else {}
    for name, inner in schema.get("properties", {}).items():
        found |= _required(inner, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        found |= _required(schema["items"], f"{path}[]")
    return found


@pytest.mark.parametrize("model", UPSTREAM, ids=lambda model: model.__name__)
@pytest.mark.skipif(not FOLDER.exists(), reason="the conformance data is not beside this checkout")
def test_upstreams_required_fields_and_spec_are_required(model):
    own = _required(build_structural_schema(model))
    assert own.pop("") == ["spec"]
    assert own == _required(json.loads(UPSTREAM[model].read_text(encoding="utf-8")))


@cache
def _schemas() -> dict[str, Any]:
    return {
        definition["spec"]["names"]["kind"]: definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for definition in build_crds().values()
    }


UPSTREAMS_OWN = [*FOLDER.glob("runtimes/**/*.yaml"), *FOLDER.glob("examples/*.yaml")]


@pytest.mark.parametrize("path", sorted(UPSTREAMS_OWN), ids=lambda path: path.name)
def test_upstreams_runtimes_and_examples_fit_the_crds(path):
    # Arrange
    objects = [obj for obj in yaml.safe_load_all(path.read_text(encoding="utf-8")) if obj]

    # Act and assert
    for obj in objects:
        if obj["kind"] in _schemas():
            jsonschema.Draft202012Validator(_schemas()[obj["kind"]]).validate(obj)


@pytest.mark.parametrize(
    "obj",
    [
        trainjob(trainer={"numNodes": -1}),
        trainjob(trainer={"numNodes": "2"}),
        trainjob(trainer={"command": "x"}),
        {**trainjob(), "spec": {}},
        runtime(policy={"mpi": {"mpiImplementation": "Intel"}}),
    ],
)
def test_what_the_models_reject_the_crds_reject(obj):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(_schemas()[obj["kind"]]).validate(obj)


def test_the_crds_are_structural():
    """No references, no alternatives but int-or-string, no closed objects, a type everywhere."""

    def walk(schema: dict[str, Any], path: str) -> None:
        assert not {"$ref", "$defs", "title", "const", "allOf", "oneOf"} & set(schema), path
        assert ("type" in schema) != schema.get("x-kubernetes-int-or-string", False), path
        for name, inner in schema.get("properties", {}).items():
            walk(inner, f"{path}.{name}")
        if "items" in schema:
            walk(schema["items"], f"{path}[]")
        if "additionalProperties" in schema:
            assert "properties" not in schema, path
            walk(schema["additionalProperties"], f"{path}{{}}")

    for kind, schema in _schemas().items():
        walk(schema, kind)
