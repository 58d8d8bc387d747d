"""Readiness and startup probes: what makes a pod Ready for the steps that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.errors import PlanError
from reconciler.plan.job_plan import ProbePlan

#: Seconds; what is longer (Kubernetes has no limit) is more than clocks and sockets take.
_LONGEST: Final = 86_400.0


def plan_probe(probe: Mapping[str, Any] | None, container: Mapping[str, Any]) -> ProbePlan | None:
    """Returns the probe, with Kubernetes' defaults (every 10 s, 1 s to answer, 3 failures).

    Numbers are within their ranges here, whatever was accepted once: a period below zero would probe without
    a pause. Where a host is named, the container itself is probed all the same.

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
        http_scheme="HTTPS" if http.get("scheme") == "HTTPS" else "HTTP",
        http_headers=tuple((h["name"], h.get("value") or "") for h in http.get("httpHeaders") or ()),
        grpc_port=(probe.get("grpc") or {}).get("port"),
        initial_delay=_seconds(probe.get("initialDelaySeconds"), default=0.0, least=0.0),
        period=_seconds(probe.get("periodSeconds"), default=10.0, least=1.0),
        timeout=_seconds(probe.get("timeoutSeconds"), default=1.0, least=1.0),
        success_threshold=max(1, probe.get("successThreshold") or 1),
        failure_threshold=max(1, probe.get("failureThreshold") or 3),
    )


def _seconds(value: int | None, *, default: float, least: float) -> float:
    """Returns a duration within its range; 0 stands for the default."""
    return min(max(float(value or default), least), _LONGEST)


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
