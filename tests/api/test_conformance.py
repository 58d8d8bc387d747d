"""Every case of conformance/validation.yaml has the verdict of upstream's admission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.api import Fault, LoadedFile, check, check_update, load

FOLDER = Path(__file__).parents[3] / "shared" / "conformance"
FILE = FOLDER / "validation.yaml"


def _cases() -> list[dict[str, Any]]:
    if not FILE.exists():
        return []
    found: list[dict[str, Any]] = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return found


def expand(value: Any) -> Any:
    """Write out ``{$text, $times}`` and ``{$item, $times}``."""
    if isinstance(value, dict):
        if set(value) == {"$text", "$times"}:
            return value["$text"] * value["$times"]
        return {key: expand(inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    result: list[Any] = []
    for item in value:
        if isinstance(item, dict) and "$item" in item:
            result += [_numbered(expand(item["$item"]), index) for index in range(item["$times"])]
        else:
            result.append(expand(item))
    return result


def _numbered(value: Any, index: int) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(inner, index) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbered(inner, index) for inner in value]
    return value.replace("${i}", str(index)) if isinstance(value, str) else value


def _load(case: dict[str, Any]) -> LoadedFile:
    text = case.get("raw") or yaml.safe_dump_all(expand(case["manifests"]), sort_keys=False)
    return load(text.encode(), "case.yaml")


def _faults(case: dict[str, Any], loaded: LoadedFile) -> list[Fault]:
    own = [fault for document in loaded.documents for fault in document.faults]
    found = [*loaded.faults, *own, *check(loaded.documents)]
    if "update_of" in case:
        (old,) = load(yaml.safe_dump(case["update_of"]).encode(), "old.yaml").documents
        (new,) = (document for document in loaded.documents if document.kind == "TrainJob")
        found += check_update(old, new, suspended=bool(case["update_of"]["spec"].get("suspend")))
    return found


@pytest.mark.skipif(not FILE.exists(), reason="the conformance data is not beside this checkout")
def test_the_conformance_data_is_there() -> None:
    assert len(_cases()) > 70


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["name"])
def test_a_case_has_upstreams_verdict_and_reasons(case: dict[str, Any]) -> None:
    # Act
    loaded = _load(case)
    found = _faults(case, loaded)

    # Assert
    errors = [fault for fault in found if fault.severity == "error"]
    said = " ".join(str(value) for fault in errors for value in fault.as_dict().values()).lower()
    assert bool(errors) == (case["verdict"] == "reject"), said
    for reason in case.get("reason_contains", []):
        assert reason.lower() in said
    warned = " ".join(fault.message for fault in found if fault.severity == "warning").lower()
    for words in case.get("warns_contains", []):
        assert words.lower() in warned
    if "line" in case:
        assert case["line"] in {fault.line for fault in errors}
    rejected = {fault.object for fault in errors}
    for name, verdict in case.get("per_object", {}).items():
        assert (name in rejected) == (verdict == "reject"), name


@pytest.mark.parametrize("path", sorted(FOLDER.glob("runtimes/**/*.yaml")), ids=lambda path: path.name)
def test_upstreams_own_runtimes_are_accepted(path: Path) -> None:
    # Act
    loaded = load(path.read_bytes(), str(path))

    # Assert
    found = [*loaded.faults, *check(loaded.documents)]
    found += [fault for document in loaded.documents for fault in document.faults]
    assert [str(fault) for fault in found if fault.severity == "error"] == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("examples/*.yaml")), ids=lambda path: path.name)
def test_upstreams_own_examples_are_accepted(path: Path) -> None:
    # Arrange
    runtimes = [
        document
        for file in FOLDER.glob("runtimes/**/*.yaml")
        for document in load(file.read_bytes(), str(file)).documents
    ]

    # Act
    loaded = load(path.read_bytes(), str(path))

    # Assert
    found = [*loaded.faults, *check(loaded.documents, runtimes)]
    found += [fault for document in loaded.documents for fault in document.faults]
    assert [str(fault) for fault in found if fault.severity == "error"] == []


PLAN_FILE = FOLDER / "plan.yaml"
PLANS = (
    yaml.load(PLAN_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) if PLAN_FILE.exists() else []
)


@pytest.mark.parametrize("case", PLANS, ids=lambda case: case["name"])
def test_jobs_that_upstream_plans_are_valid(case: dict[str, Any]) -> None:
    # Act
    loaded = load(yaml.safe_dump_all([case["runtime"], case["trainjob"]]).encode(), "case.yaml")

    # Assert
    assert [str(fault) for fault in _faults({}, loaded) if fault.severity == "error"] == []
