"""Readiness and startup probes: what makes a pod Ready for the steps that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import PlanError
from reconciler.plan.job_plan import ProbePlan


def plan_probe(probe: Mapping[str, Any] | None, container: Mapping[str, Any]) -> ProbePlan | None:
    """Returns the probe, with Kubernetes' defaults (every 10 s, 1 s to answer, 3 failures).

    Raises:
        PlanError: it names a port that the container does not declare.
    """
    if not probe:
        return None
    http = probe.get("httpGet") or {}
    return ProbePlan(
        command=tuple((probe.get("exec") or {}).get("command") or ()),
        tcp_port=_port((probe.get("tcpSocket") or {}).get("port"), container),
        http_port=_port(http.get("port"), container),
        http_path=http.get("path") or "/",
        http_scheme=http.get("scheme") or "HTTP",
        grpc_port=(probe.get("grpc") or {}).get("port"),
        initial_delay=float(probe.get("initialDelaySeconds") or 0),
        period=float(probe.get("periodSeconds") or 10),
        timeout=float(probe.get("timeoutSeconds") or 1),
        success_threshold=probe.get("successThreshold") or 1,
        failure_threshold=probe.get("failureThreshold") or 3,
    )


def _port(port: object, container: Mapping[str, Any]) -> int | None:
    """Returns the number of a port, looked up where the port has a name."""
    if port is None:
        return None
    if isinstance(port, int):
        return port
    text = str(port)
    if text.isdecimal():
        return int(text)
    for declared in container.get("ports") or ():
        if declared.get("name") == text:
            return int(declared["containerPort"])
    raise PlanError(
        f"A probe of the container {container['name']!r} names the port {text!r}, which it does not declare.",
        path="spec.runtimeRef",
        remedy="Give the probe a port number, or add the port to the container's ports.",
    )
