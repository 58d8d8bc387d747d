"""Security contexts."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import PlanError
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


def test_the_containers_context_is_merged_over_the_pods() -> None:
    pod = {"securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}}
    node = container(
        securityContext={"runAsUser": 9, "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}}
    )

    got = only(plan_of(trainjob(), runtime(step("node", node, pod=pod)))).security

    assert (got.run_as_user, got.run_as_group, got.fs_group, got.supplemental_groups) == (9, 2, 3, (4,))
    assert (got.cap_add, got.cap_drop) == (("SYS_PTRACE",), ("ALL",))


@pytest.mark.parametrize(
    ("profile", "planned"),
    [
        ({"type": "RuntimeDefault"}, ""),
        ({"type": "Unconfined"}, "unconfined"),
        ({"type": "Localhost", "localhostProfile": "mine.json"}, "mine.json"),
    ],
)
def test_seccomp_profiles(profile: dict[str, Any], planned: str) -> None:
    got = only(plan_of(trainjob(), with_node(securityContext={"seccompProfile": profile}))).security

    assert got.seccomp == planned


def test_run_as_non_root_with_user_0_is_an_error() -> None:
    context = {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}

    with pytest.raises(PlanError, match="runAsNonRoot: true and runAsUser: 0"):
        plan_of(trainjob(), with_node(**context))
