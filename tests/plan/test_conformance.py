"""The conformance data of upstream's plans, read in place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.plan.job_plan import JobPlan
from reconciler.plan.plan_hash import spec_hash
from reconciler.plan.serialization import from_data, to_data
from tests.plan.manifests import CONFORMANCE, documents, load, plan_of, rendered_job

PLAN_CASES = CONFORMANCE / "plan.yaml"
RUNTIMES = sorted((CONFORMANCE / "runtimes").rglob("*.yaml"))
EXAMPLES = sorted((CONFORMANCE / "examples").glob("*.yaml"))

needs_data = pytest.mark.skipif(not PLAN_CASES.exists(), reason=f"no conformance data at {CONFORMANCE}")
CASES: list[dict[str, Any]] = load(PLAN_CASES) if PLAN_CASES.exists() else []


def _expected(value: Any, case: dict[str, Any], index: int) -> Any:
    """A case's text with its placeholders replaced by what this project prints."""
    if isinstance(value, dict):
        return {k: _expected(v, case, index) for k, v in value.items()}
    if isinstance(value, list):
        return [_expected(v, case, index) for v in value]
    if not isinstance(value, str):
        return value
    text = value.replace("${rank}", str(index)).replace("${master_addr}", "$(node-0.ip)")
    return re.sub(r"\$\{host:([a-z-]+):(\d+)\}", r"$(\1-\2.ip)", text)


def _holds(expected: Any, got: Any, where: str) -> None:
    """What is listed must hold: a map's keys, each item of a list (by name where items have names)."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in got, f"{where}.{key} is missing in {got}"
            _holds(value, got[key], f"{where}.{key}")
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        for item in expected:
            matching = [g for g in got if all(g.get(k) == item[k] for k in ("name", "path") if k in item)]
            assert matching, f"{where}: nothing like {item} in {got}"
            _holds(item, matching[0], where)
    elif isinstance(expected, str | int) and not isinstance(expected, bool):
        assert str(got) == str(expected), where
    else:
        assert got == expected, where


@needs_data
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_plan_is_upstreams(case: dict[str, Any]) -> None:
    expect = case["expect"]

    plan = plan_of(case["trainjob"], case["runtime"])
    shown = rendered_job(plan)

    assert shown["nodes"] == expect["nodes"]
    _check_steps(expect, shown)
    for kinds, wanted in ((("main",), "containers"), (("init", "sidecar"), "init_containers")):
        for container in expect.get(wanted, []):
            _check_container(case, container, shown, kinds)
    _check_absent(expect, shown)
    _check_files(case, shown)
    _check_volumes(expect, shown)
    _holds(expect.get("job_labels", {}), shown["labels"], "labels")
    _holds(expect.get("job_annotations", {}), shown["annotations"], "annotations")
    said = " ".join(f"{path} {message}" for path, message in plan.warnings)
    assert all(word in said for word in expect.get("warns_contains", [])), said
    assert from_data(to_data(plan)) == plan
    assert spec_hash(plan) == spec_hash(from_data(to_data(plan, compact=True)))


def _check_steps(expect: dict[str, Any], shown: dict[str, Any]) -> None:
    got = [{k: s[k] for k in ("name", "count", "after")} for s in shown["steps"]]
    assert got == [{"after": [], **s} for s in expect["steps"]]


def _check_container(
    case: dict[str, Any], wanted: dict[str, Any], shown: dict[str, Any], kinds: tuple[str, ...]
) -> None:
    step = wanted["step"]
    count = next(s["count"] for s in shown["steps"] if s["name"] == step)
    got = [c for c in shown["containers"] if c["step"] == step and c["container"] == wanted["name"]]
    assert [c["index"] for c in got] == list(range(count))
    for container in got:
        assert container["kind"] in kinds
        fields = {k: v for k, v in wanted.items() if k not in ("step", "name")}
        _holds(_expected(fields, case, container["index"]), container, f"{step}/{wanted['name']}")


def _check_absent(expect: dict[str, Any], shown: dict[str, Any]) -> None:
    for place, names in expect.get("env_absent", {}).items():
        step, name = place.split("/")
        for container in shown["containers"]:
            if (container["step"], container["container"]) == (step, name):
                assert not set(names) & set(container["env"])


def _check_files(case: dict[str, Any], shown: dict[str, Any]) -> None:
    for path, content in case["expect"].get("files", {}).items():
        assert shown["files"][path] == _expected(content, case, 0)


def _check_volumes(expect: dict[str, Any], shown: dict[str, Any]) -> None:
    for step, volumes in expect.get("volumes", {}).items():
        _holds(volumes, [v for v in shown["volumes"] if v["step"] == step], f"volumes of {step}")
    for shared in expect.get("shared_volumes", []):
        sources = [
            {k: v for k, v in volume.items() if k != "step"}
            for volume in shown["volumes"]
            if volume["name"] == shared["name"]
        ]
        assert len(sources) == len(shared["steps"])
        assert all(source == sources[0] for source in sources)


@needs_data
@pytest.mark.parametrize("path", RUNTIMES, ids=lambda path: path.stem)
def test_every_runtime_of_upstream_plans(path: Any) -> None:
    runtime = load(path)
    job = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "demo"},
        "spec": {"runtimeRef": {"name": runtime["metadata"]["name"]}, "trainer": {"numNodes": 2}},
    }

    plan = plan_of(job, runtime)

    assert isinstance(plan, JobPlan)
    assert plan.nodes == 2
    assert from_data(to_data(plan)) == plan


@needs_data
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_of_upstream_plans(path: Any) -> None:
    runtimes = {d["metadata"]["name"]: d for d in documents(path) if d["kind"] == "ClusterTrainingRuntime"}
    runtimes.setdefault("torch-distributed", load(CONFORMANCE / "runtimes" / "torch_distributed.yaml"))
    jobs = [d for d in documents(path) if d["kind"] == "TrainJob"]
    assert jobs

    for job in jobs:
        plan = plan_of(job, runtimes[job["spec"]["runtimeRef"]["name"]])

        assert plan.nodes == job["spec"]["trainer"]["numNodes"]
        assert plan.suspend == job["spec"].get("suspend", False)
