"""References in the environment."""

from __future__ import annotations

from typing import Any

from reconciler.plan.job_plan import EnvFrom, EnvVar, KeyRef
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


def test_secrets_and_config_maps_stay_references() -> None:
    variables = [
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ]
    sources = [
        {"secretRef": {"name": "s"}, "prefix": "P_"},
        {"configMapRef": {"name": "c", "optional": True}},
    ]

    got = only(plan_of(trainjob(), with_node(env=variables, envFrom=sources)))

    assert EnvVar(name="S", ref=KeyRef(kind="Secret", name="s", key="k", optional=True)) in got.env
    assert EnvVar(name="C", ref=KeyRef(kind="ConfigMap", name="c", key="k")) in got.env
    assert got.env_from == (
        EnvFrom(kind="Secret", name="s", prefix="P_"),
        EnvFrom(kind="ConfigMap", name="c", optional=True),
    )
