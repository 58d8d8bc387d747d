"""Rules of the API server for probes and lifecycle hooks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import container, errors, runtime, step

POD = "spec.template.spec.replicatedJobs[0].template.spec.template.spec"
NODE = f"{POD}.containers[0]"
TCP = {"tcpSocket": {"port": 80}}
HTTP = {"httpGet": {"port": 80}}


def faults(pod: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    found: dict[str, str] = errors(
        runtime(steps=[step(pod={"containers": [container(**fields)], **(pod or {})})])
    )
    return found


@pytest.mark.parametrize("name", ["livenessProbe", "readinessProbe", "startupProbe"])
@pytest.mark.parametrize(
    ("probe", "field", "said"),
    [
        ({**TCP, "periodSeconds": -1}, "periodSeconds", "-1: must be greater than or equal to 0"),
        ({**TCP, "timeoutSeconds": -1}, "timeoutSeconds", "greater than or equal to 0"),
        ({**TCP, "initialDelaySeconds": -1}, "initialDelaySeconds", "greater than or equal to 0"),
        ({**TCP, "successThreshold": -1}, "successThreshold", "greater than or equal to 0"),
        ({**TCP, "failureThreshold": -1}, "failureThreshold", "greater than or equal to 0"),
        ({"tcpSocket": {"port": 0}}, "tcpSocket.port", "between 1 and 65535"),
        ({"tcpSocket": {"port": 65536}}, "tcpSocket.port", "between 1 and 65535"),
        ({"tcpSocket": {"port": "8080"}}, "tcpSocket.port", "without quotes"),
        ({"tcpSocket": {"port": ""}}, "tcpSocket.port", "a port's name"),
        ({"tcpSocket": {"port": "-ssh"}}, "tcpSocket.port", "a port's name"),
        ({"tcpSocket": {"port": "a--b"}}, "tcpSocket.port", "single '-'"),
        ({"tcpSocket": {"port": "Web"}}, "tcpSocket.port", "lower-case"),
        ({"tcpSocket": {"port": "a" * 16}}, "tcpSocket.port", "no more than 15"),
        ({"httpGet": {"port": -1}}, "httpGet.port", "between 1 and 65535"),
        ({"httpGet": {"port": 80, "scheme": "http"}}, "httpGet.scheme", 'supported values: "HTTP", "HTTPS"'),
        ({"httpGet": {"port": 80, "scheme": "http://x/?"}}, "httpGet.scheme", "Unsupported value"),
        (
            {"httpGet": {"port": 80, "httpHeaders": [{"name": "X Y", "value": ""}]}},
            "httpGet.httpHeaders[0].name",
            "letters, digits and '-'",
        ),
        ({"grpc": {"port": 0}}, "grpc.port", "between 1 and 65535"),
        ({"exec": {"command": []}}, "exec.command", "Required value"),
        ({"exec": {}}, "exec.command", "Required value"),
        ({"periodSeconds": 1}, "", "must specify a handler type"),
        ({**TCP, **HTTP}, "tcpSocket", "may not specify more than 1 handler type"),
        ({**TCP, "grpc": {"port": 1}}, "grpc", "may not specify more than 1 handler type"),
    ],
)
def test_each_field_of_a_probe_has_kubernetes_range(
    name: str, probe: dict[str, Any], field: str, said: str
) -> None:
    found = faults(**{name: probe})

    path = f"{NODE}.{name}.{field}".rstrip(".")
    assert list(found) == [path]
    assert said in found[path]


@pytest.mark.parametrize("name", ["livenessProbe", "readinessProbe", "startupProbe"])
@pytest.mark.parametrize(
    "probe",
    [
        {**TCP, "periodSeconds": 0, "timeoutSeconds": 0, "successThreshold": 0, "failureThreshold": 0},
        {**TCP, "successThreshold": 1, "initialDelaySeconds": 2**31 - 1},
        {"httpGet": {"port": "web-1", "scheme": "", "path": "", "host": "x"}},
        {"httpGet": {"port": 65535, "scheme": "HTTPS", "httpHeaders": [{"name": "X-Y", "value": "ä"}]}},
        {"grpc": {"port": 1, "service": "s"}},
    ],
)
def test_what_a_cluster_accepts_is_accepted(name: str, probe: dict[str, Any]) -> None:
    assert faults(**{name: probe}) == {}


@pytest.mark.parametrize("name", ["livenessProbe", "startupProbe"])
def test_only_readiness_can_ask_for_several_successes(name: str) -> None:
    assert "must be 1" in faults(**{name: {**TCP, "successThreshold": 2}})[f"{NODE}.{name}.successThreshold"]
    assert faults(readinessProbe={**TCP, "successThreshold": 2}) == {}


def test_a_probes_own_grace_is_for_probes_that_restart() -> None:
    field = "terminationGracePeriodSeconds"

    assert "must not be set" in faults(readinessProbe={**TCP, field: 5})[f"{NODE}.readinessProbe.{field}"]
    assert "greater than 0" in faults(livenessProbe={**TCP, field: 0})[f"{NODE}.livenessProbe.{field}"]
    assert faults(startupProbe={**TCP, field: 5}) == {}


@pytest.mark.parametrize(
    ("hook", "field", "said"),
    [
        ({}, "", "must specify a handler type"),
        ({"exec": {"command": []}}, "exec.command", "Required value"),
        ({"httpGet": {"port": 80, "scheme": "ftp"}}, "httpGet.scheme", "Unsupported value"),
        ({"tcpSocket": {"port": 0}}, "tcpSocket.port", "between 1 and 65535"),
        ({"sleep": {"seconds": -1}}, "sleep.seconds", "from 0 to"),
        ({"sleep": {"seconds": 31}}, "sleep.seconds", "terminationGracePeriodSeconds (30)"),
        ({"sleep": {"seconds": 1}, "exec": {"command": ["x"]}}, "sleep", "more than 1"),
    ],
)
@pytest.mark.parametrize("name", ["preStop", "postStart"])
def test_hooks_have_kubernetes_ranges(name: str, hook: dict[str, Any], field: str, said: str) -> None:
    found = faults(lifecycle={name: hook})

    path = f"{NODE}.lifecycle.{name}.{field}".rstrip(".")
    assert list(found) == [path]
    assert said in found[path]


def test_a_sleep_may_take_the_pods_own_grace() -> None:
    hook = {"preStop": {"sleep": {"seconds": 90}}}

    assert faults({"terminationGracePeriodSeconds": 90}, lifecycle=hook) == {}


@pytest.mark.parametrize(
    "field", [{"readinessProbe": TCP}, {"startupProbe": TCP}, {"livenessProbe": TCP}, {"lifecycle": {}}]
)
def test_an_init_container_has_neither_probes_nor_hooks_and_a_sidecar_may(field: dict[str, Any]) -> None:
    init = container("setup", **field)
    (name,) = field

    assert (
        "without restartPolicy=Always"
        in faults({"initContainers": [init]})[f"{POD}.initContainers[0].{name}"]
    )
    assert faults({"initContainers": [{**init, "restartPolicy": "Always"}]}) == {}
