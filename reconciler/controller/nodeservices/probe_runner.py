"""Runs startup and readiness probes beside the passes over jobs.

One thread per probed container (few jobs have probes, mostly the workers of an MPI job). Commands run inside
the container; TCP and HTTP probes connect from this host to the pod's address. Where that is out of reach
(rootless Podman keeps its networks in its own namespace) a TCP probe looks for the listening port inside the
container. A probe that cannot be carried out has failed: the reason is logged once.
"""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from reconciler.controller.statemachine.observation import (
    Observed,
    ProbeResults,
    container_identity,
    planned_containers,
)
from reconciler.engines.protocol import ContainerState, Engine
from reconciler.errors import EngineError
from reconciler.plan.job_plan import ContainerPlan, JobPlan, ProbePlan

#: State of a listening socket in ``/proc/net/tcp``.
TCP_LISTEN = "0A"

_log = structlog.get_logger(__name__)


class ProbeRunner:
    """Probes the running containers that have a probe.

    Args:
        engine: the engine that runs the containers.
        on_change: called with ``namespace/name`` when a container has become started, ready or not ready.
    """

    def __init__(self, engine: Engine, *, on_change: Callable[[str], None]) -> None:
        self._engine = engine
        self._on_change = on_change
        self._lock = threading.Lock()
        self._probes: dict[str, _Probe] = {}

    def sync(
        self, plan: JobPlan, observed: Observed, addresses: Mapping[tuple[str, int], str]
    ) -> ProbeResults:
        """Starts probing new containers, stops for those that are gone; returns whose probes pass now."""
        planned = {identity: c for identity, c in planned_containers(plan).items() if c.has_probe}
        key = f"{plan.namespace}/{plan.name}"
        running = {
            c.id: c for c in observed.containers if c.state == "running" and container_identity(c) in planned
        }
        with self._lock:
            for identifier, probe in list(self._probes.items()):
                if probe.key == key and identifier not in running:
                    probe.stop.set()
                    del self._probes[identifier]
            for identifier, state in running.items():
                if identifier not in self._probes:
                    identity = container_identity(state)
                    address = addresses.get(identity[:2]) or state.address
                    self._start(_Probe(key, state, planned[identity], address))
            return ProbeResults(
                started=frozenset(i for i in running if self._probes[i].started),
                ready=frozenset(i for i in running if self._probes[i].ready),
            )

    def close(self) -> None:
        """Stops all probing."""
        with self._lock:
            for probe in self._probes.values():
                probe.stop.set()
            self._probes.clear()

    def _start(self, probe: _Probe) -> None:
        self._probes[probe.state.id] = probe
        name = f"probe-{probe.state.name}"
        threading.Thread(target=self._run, args=(probe,), name=name, daemon=True).start()

    def _run(self, probe: _Probe) -> None:
        container = probe.container
        if container.startup is not None:
            if not self._wait_for_startup(probe, container.startup):
                return
            probe.started = True
            _log.info("startup probe succeeded", container=probe.state.name)
            self._on_change(probe.key)
        if container.readiness is not None:
            self._watch_readiness(probe, container.readiness)

    def _wait_for_startup(self, probe: _Probe, plan: ProbePlan) -> bool:
        """Returns True once the startup probe has succeeded; False when probing ends before."""
        passed, wait = 0, plan.initial_delay
        while passed < plan.success_threshold:
            if probe.stop.wait(wait):
                return False
            wait = min(plan.period, 1.0)
            passed = passed + 1 if self._passes(probe, plan) else 0
        return True

    def _watch_readiness(self, probe: _Probe, plan: ProbePlan) -> None:
        passed = failed = 0
        wait = plan.initial_delay
        while not probe.stop.wait(wait):
            # A container that is not ready is probed more often than its period says, so that the steps that
            # depend on it start without delay.
            wait = plan.period if probe.ready else min(plan.period, 1.0)
            if self._passes(probe, plan):
                passed, failed = passed + 1, 0
            else:
                passed, failed = 0, failed + 1
            ready = probe.ready
            if not ready and passed >= plan.success_threshold:
                probe.ready = True
            elif ready and failed >= plan.failure_threshold:
                probe.ready = False
            if probe.ready != ready:
                _log.info("readiness changed", container=probe.state.name, ready=probe.ready)
                self._on_change(probe.key)

    def _passes(self, probe: _Probe, plan: ProbePlan) -> bool:
        try:
            if plan.command:
                code, _ = self._engine.exec(probe.state.id, plan.command, timeout=plan.timeout)
                return code == 0
            if plan.tcp_port is not None:
                return self._probe_tcp(probe, plan.tcp_port, plan.timeout)
            if plan.http_port is not None:
                return _probe_http(probe.address, plan)
            return plan.grpc_port is None or self._probe_tcp(probe, plan.grpc_port, plan.timeout)
        except EngineError as error:
            if not probe.failure_logged:
                probe.failure_logged = True
                _log.warning("probe failed", container=probe.state.name, reason=str(error))
            return False

    def _probe_tcp(self, probe: _Probe, port: int, timeout: float) -> bool:
        if probe.address:
            with suppress(OSError), socket.create_connection((probe.address, port), timeout):
                return True
        return self._listens_inside(probe, port, timeout)

    def _listens_inside(self, probe: _Probe, port: int, timeout: float) -> bool:
        """Whether a process in the container listens on the port, by the kernel's table."""
        command = ("cat", "/proc/net/tcp", "/proc/net/tcp6")
        _, output = self._engine.exec(probe.state.id, command, timeout=max(timeout, 5.0))
        wanted = f":{port:04X}"
        for line in output.decode(errors="replace").splitlines():
            fields = line.split()
            if len(fields) > 3 and fields[1].endswith(wanted) and fields[3] == TCP_LISTEN:
                return True
        return False


def _probe_http(address: str, plan: ProbePlan) -> bool:
    """Whether the answer's status is from 200 to 399, as for the kubelet."""
    url = f"{plan.http_scheme.lower()}://{address}:{plan.http_port}/{plan.http_path.lstrip('/')}"
    try:
        with urllib.request.urlopen(url, timeout=plan.timeout) as response:  # noqa: S310  (http(s), built above)
            return 200 <= int(response.status) < 400
    except (urllib.error.URLError, OSError, ValueError):
        return False


class _Probe:
    """The probing of one container: its thread's input and results."""

    def __init__(self, key: str, state: ContainerState, container: ContainerPlan, address: str) -> None:
        self.key = key
        self.state = state
        self.container = container
        self.address = address
        self.started = self.ready = False
        self.failure_logged = False
        self.stop = threading.Event()
