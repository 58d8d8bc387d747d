"""``fieldRef`` and ``resourceFieldRef``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    rendered_job,
    runtime,
    step,
    trainjob,
)


def with_node(**fields: Any) -> dict[str, Any]:
    return runtime(step("node", container(**fields)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "demo-node-1"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "mine"),
        ("metadata.labels['gone']", ""),
        ("metadata.labels['jobset.sigs.k8s.io/replicatedjob-name']", "node"),
        ("metadata.labels['batch.kubernetes.io/job-name']", "demo-node-0"),
        ("metadata.annotations['batch.kubernetes.io/job-completion-index']", "1"),
        ("metadata.annotations['note']", "cost: $5 $(A)"),
        ("spec.nodeName", "localhost"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "$(node-1.ip)"),
        ("status.hostIP", "$(host.ip)"),
        ("metadata.annotations['jobset.sigs.k8s.io/restart-attempt']", "0"),
    ],
)
def test_fields(path: str, value: str) -> None:
    variables = [
        {"name": "A", "value": "a"},
        {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}},
    ]
    metadata = {"labels": {"app": "mine"}, "annotations": {"note": "cost: $5 $(A)"}}
    runtime_manifest = runtime(step("node", container(env=variables), pod_metadata=metadata))

    shown = rendered_job(plan_of(trainjob({"numNodes": 2}), runtime_manifest))["containers"][1]

    assert shown["env"]["X"] == value


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "512"),
        ({"resource": "limits.cpu", "containerName": "side"}, "3"),
    ],
)
def test_resources(ref: dict[str, str], value: str) -> None:
    variables = [{"name": "X", "valueFrom": {"resourceFieldRef": ref}}]
    node = container(env=variables, resources={"limits": {"cpu": "1500m", "memory": "512Mi"}})
    runtime_manifest = runtime(step("node", node, container("side", resources={"limits": {"cpu": "3"}})))

    assert env(only(plan_of(trainjob(), runtime_manifest)))["X"] == value


def test_a_limit_that_is_not_set_gives_zero_and_one_warning() -> None:
    variables = [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]

    plan = plan_of(trainjob({"numNodes": 3}), with_node(env=variables))

    assert env(only(plan))["X"] == "0"
    assert len(plan.warnings) == 1


def test_all_labels_are_a_file_of_lines() -> None:
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    pod = {"volumes": [{"name": "v", "downwardAPI": {"items": [item]}}]}
    runtime_manifest = runtime(step("node", container(), pod=pod, pod_metadata={"labels": {"a": 'x"y'}}))

    (planned,) = plan_of(trainjob(), runtime_manifest).pods[0].volumes

    assert planned.files[0].content.splitlines()[0] == 'a="x\\"y"'
