"""Readiness and startup probes."""

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


def test_named_ports_are_looked_up_and_defaults_are_those_of_kubernetes() -> None:
    node = {
        "ports": [{"name": "ssh", "containerPort": 2222}],
        "readinessProbe": {"tcpSocket": {"port": "ssh"}},
    }

    probe = only(plan_of(trainjob(), with_node(**node))).readiness

    assert probe is not None
    assert (probe.tcp_port, probe.period, probe.timeout, probe.failure_threshold) == (2222, 10, 1, 3)


def test_an_unknown_port_is_an_error() -> None:
    with pytest.raises(PlanError, match="names the port 'ssh', which it does not declare"):
        plan_of(trainjob(), with_node(readinessProbe={"tcpSocket": {"port": "ssh"}}))
