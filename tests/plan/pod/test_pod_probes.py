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


def test_numbers_accepted_by_earlier_versions_are_within_their_ranges() -> None:
    """A period below zero would probe without a pause; a socket does not take a timeout below zero."""
    probe = {
        "tcpSocket": {"port": 80},
        "initialDelaySeconds": -5,
        "periodSeconds": -1,
        "timeoutSeconds": -1,
        "successThreshold": -2,
        "failureThreshold": -3,
    }

    planned = only(plan_of(trainjob(), with_node(readinessProbe=probe))).readiness

    assert planned is not None
    assert (planned.initial_delay, planned.period, planned.timeout) == (0, 1, 1)
    assert (planned.success_threshold, planned.failure_threshold) == (1, 1)


@pytest.mark.parametrize("scheme", ["http://127.0.0.1:1/x?x=", "ftp", "https", "", None])
def test_a_scheme_is_http_or_https_and_nothing_else(scheme: str | None) -> None:
    planned = only(plan_of(trainjob(), with_node(readinessProbe={"httpGet": {"port": 80, "scheme": scheme}})))

    assert planned.readiness is not None
    assert planned.readiness.http_scheme == "HTTP"
