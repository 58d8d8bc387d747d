"""Warnings about fields that are supported in part."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.manifests import (
    container,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def with_node(**fields: Any) -> dict[str, Any]:
    return runtime(step("node", container(**fields)))


def test_liveness_probes_and_start_hooks_give_a_warning() -> None:
    node = {
        "livenessProbe": {"exec": {"command": ["true"]}},
        "lifecycle": {
            "postStart": {"exec": {"command": ["true"]}},
            "preStop": {"exec": {"command": ["bye"]}},
        },
    }

    plan = plan_of(trainjob({"numNodes": 2}), with_node(**node))

    assert only(plan).pre_stop == ("bye",)
    assert sorted(path.rpartition("containers[0].")[2] for path, _ in plan.warnings) == [
        "lifecycle.postStart",
        "livenessProbe",
    ]


@pytest.mark.parametrize(
    ("pod", "node", "field"),
    [
        ({"runtimeClassName": "gvisor"}, {}, "runtimeClassName"),
        ({"hostUsers": False}, {}, "hostUsers"),
        ({"subdomain": "x"}, {}, "subdomain"),
        (
            {},
            {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]},
            "restartPolicyRules",
        ),
        ({}, {"lifecycle": {"preStop": {"httpGet": {"port": 1}}}}, "lifecycle.preStop.httpGet"),
        ({}, {"securityContext": {"procMount": "Unmasked"}}, "procMount"),
        ({}, {"image": ""}, "image"),
        ({}, {"startupProbe": {"exec": {"command": ["true"]}}}, "startupProbe"),
        (
            {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]},
            {},
            "volumes[0].emptyDir.sizeLimit",
        ),
        (
            {},
            {"resources": {"limits": {"ephemeral-storage": "1Gi"}}},
            "resources.limits[ephemeral-storage]",
        ),
    ],
)
def test_a_field_gives_one_warning_for_all_pods(
    pod: dict[str, Any], node: dict[str, Any], field: str
) -> None:
    plan = plan_of(trainjob({"numNodes": 3}), runtime(step("node", container(**node), pod=pod)))

    assert [path.endswith(field) for path, _ in plan.warnings] == [True]


def test_values_that_ask_for_nothing_give_no_warning() -> None:
    memory = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    pod = {"hostUsers": True, "volumes": [{"name": "v", "emptyDir": {}}, memory]}
    mounts = [{"name": "v", "mountPath": "/v", "mountPropagation": "None"}]
    node = container(volumeMounts=mounts, stdinOnce=False, securityContext={"procMount": "Default"})

    plan = plan_of(trainjob(), runtime(step("node", node, pod=pod, job={"completionMode": "Indexed"})))

    assert plan.warnings == ()
