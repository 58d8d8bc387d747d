"""Rules of the API server for probes and lifecycle hooks: the ranges of every field, exactly one action each.

Probes that are not run (liveness) are checked all the same: a cluster would refuse the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api.faults import Findings, check_supported
from reconciler.api.models.core.container import Container
from reconciler.api.models.core.probe import (
    ExecAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from reconciler.api.name_syntax import LARGEST_PORT, validate_header_name, validate_port_name

_SCHEMES: Final = ("HTTP", "HTTPS")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def check(container: Container, base: str, *, grace: int) -> Findings:
    """Yields the faults of a container's probes and hooks.

    Args:
        container: its container or sidecar.
        base: path of the container.
        grace: the pod's terminationGracePeriodSeconds.
    """
    probes = (container.liveness_probe, container.readiness_probe, container.startup_probe)
    for name, probe in zip(_PROBES, probes, strict=True):
        if probe is not None:
            yield from _check_probe(probe, name, f"{base}.{name}")
    if container.lifecycle is None:
        return
    for name, hook in (
        ("postStart", container.lifecycle.post_start),
        ("preStop", container.lifecycle.pre_stop),
    ):
        if hook is not None:
            yield from _check_hook(hook, f"{base}.lifecycle.{name}", grace=grace)


def forbid_in_init_container(container: Container, base: str) -> Findings:
    """Yields a fault for each probe and hook of an init container that ends before the others start."""
    probes = (container.liveness_probe, container.readiness_probe, container.startup_probe)
    given = [name for name, probe in zip(_PROBES, probes, strict=True) if probe is not None]
    if container.lifecycle is not None:
        given.append("lifecycle")
    for name in given:
        message = "Forbidden: may not be set for init containers without restartPolicy=Always"
        yield f"{base}.{name}", f"{message}: remove it, or make the container a sidecar"


def _check_probe(probe: Probe, name: str, base: str) -> Findings:
    numbers = {
        "initialDelaySeconds": probe.initial_delay_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "periodSeconds": probe.period_seconds,
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }
    for field, number in numbers.items():
        if number is not None and number < 0:
            yield f"{base}.{field}", f"Invalid value: {number}: must be greater than or equal to 0"
    # 0 stands for the default, which is 1.
    passes = probe.success_threshold or 1
    if name != "readinessProbe" and passes > 1:
        yield f"{base}.successThreshold", f"Invalid value: {passes}: must be 1 for a {name}"
    grace = probe.termination_grace_period_seconds
    if grace is not None and name == "readinessProbe":
        message = f"Invalid value: {grace}: must not be set for readinessProbes"
        yield f"{base}.terminationGracePeriodSeconds", message
    elif grace is not None and grace <= 0:
        yield f"{base}.terminationGracePeriodSeconds", f"Invalid value: {grace}: must be greater than 0"
    yield from _check_one_action(
        base,
        {"exec": probe.exec, "httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "grpc": probe.grpc},
    )
    yield from _check_actions(probe.exec, probe.http_get, probe.tcp_socket, base)
    if probe.grpc is not None:
        yield from _check_port(probe.grpc.port, f"{base}.grpc.port")


def _check_hook(hook: LifecycleHandler, base: str, *, grace: int) -> Findings:
    yield from _check_one_action(
        base,
        {"exec": hook.exec, "httpGet": hook.http_get, "tcpSocket": hook.tcp_socket, "sleep": hook.sleep},
    )
    yield from _check_actions(hook.exec, hook.http_get, hook.tcp_socket, base)
    if hook.sleep is not None:
        yield from _check_sleep(hook.sleep, f"{base}.sleep.seconds", grace=grace)


def _check_one_action(base: str, actions: dict[str, object]) -> Findings:
    given = [name for name, action in actions.items() if action is not None]
    if not given:
        yield base, f"Required value: must specify a handler type: one of {', '.join(actions)}"
    for name in given[1:]:
        yield f"{base}.{name}", f"Forbidden: may not specify more than 1 handler type (it has {given[0]})"


def _check_actions(
    command: ExecAction | None, http: HTTPGetAction | None, tcp: TCPSocketAction | None, base: str
) -> Findings:
    if command is not None and not command.command:
        yield f"{base}.exec.command", "Required value: the command to run in the container"
    if tcp is not None:
        yield from _check_port(tcp.port, f"{base}.tcpSocket.port")
    if http is not None:
        yield from _check_http(http, f"{base}.httpGet")


def _check_http(http: HTTPGetAction, base: str) -> Findings:
    yield from _check_port(http.port, f"{base}.port")
    # An empty one is set to its default, as an absent one is.
    yield from check_supported(http.scheme or None, _SCHEMES, f"{base}.scheme")
    for index, header in enumerate(http.http_headers):
        if problem := validate_header_name(header.name):
            yield f"{base}.httpHeaders[{index}].name", f'Invalid value: "{header.name}": {problem}'


def _check_port(port: int | str, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(port, str):
        if problem := validate_port_name(port):
            yield path, f'Invalid value: "{port}": {problem}; a number is written without quotes'
    elif not 0 < port <= LARGEST_PORT:
        yield path, f"Invalid value: {port}: must be between 1 and {LARGEST_PORT}, inclusive"


def _check_sleep(sleep: SleepAction, path: str, *, grace: int) -> Findings:
    if not 0 <= sleep.seconds <= grace:
        wanted = f"must be from 0 to the pod's terminationGracePeriodSeconds ({grace})"
        yield path, f"Invalid value: {sleep.seconds}: {wanted}"
