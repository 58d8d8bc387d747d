"""Runs startup and readiness probes beside the passes over jobs.

One thread per probed container (few jobs have probes, mostly the workers of an MPI job). Commands run inside
the container; TCP and HTTP probes connect from this host to the pod's address, and to nothing else. Where
that is out of reach (rootless engines keep their networks in a namespace of their own) a TCP probe looks
for the listening port inside the container. A probe that cannot be carried out, for whatever reason, has
failed; a reason that is new is logged.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from reconciler.controller.nodeservices.probe_failure import OUT_OF_REACH, ProbeFailed
from reconciler.controller.statemachine.observation import (
    Observed,
    ProbeResults,
    container_identity,
    planned_containers,
)
from reconciler.engines.protocol import ContainerState, Engine
from reconciler.errors import EngineError
from reconciler.plan.expansion import HOST
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, ProbePlan

#: State of a listening socket in ``/proc/net/tcp``.
TCP_LISTEN = "0A"

_log = structlog.get_logger(__name__)


class ProbeRunner:
    """Probes the running containers that have a probe.

    Args:
        engine: the engine that runs the containers.
        reaches: whether this host is on the network of a pod, or shares the host's with it.
        on_change: called with ``namespace/name`` when a container has become started, ready or not ready.
    """

    def __init__(
        self, engine: Engine, *, reaches: Callable[[PodPlan], bool], on_change: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._reaches = reaches
        self._on_change = on_change
        self._lock = threading.Lock()
        self._probes: dict[str, _Probe] = {}

    def sync(
        self, plan: JobPlan, observed: Observed, addresses: Mapping[tuple[str, int], str]
    ) -> ProbeResults:
        """Starts probing new containers, stops for those that are gone; returns whose probes pass now.

        Args:
            plan: of the job.
            observed: its containers.
            addresses: of its pods, and of the host as they see it.

        Raises:
            EngineError: this host has no thread left for another probe.
        """
        reached = {(pod.step, pod.index) for pod in plan.pods if self._reaches(pod)}
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
                    pod = identity[:2]
                    address = (addresses.get(pod) or state.address) if pod in reached else ""
                    self._start(_Probe(key, state, planned[identity], address, addresses[HOST]))
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
        name = f"probe-{probe.state.name}"
        try:
            threading.Thread(target=self._run, args=(probe,), name=name, daemon=True).start()
        except RuntimeError as error:
            raise EngineError(
                f"This host has no thread for the probe of {probe.state.name}: {error}."
            ) from error
        self._probes[probe.state.id] = probe

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
            self._carry_out(probe, plan)
        except (ProbeFailed, EngineError) as error:
            reason = str(error)
            if probe.failure != reason:
                _log.info("probe failed", container=probe.state.name, reason=reason)
        except Exception:  # noqa: BLE001  (the thread's boundary: a job whose probe ends would wait for ever)
            reason = "a mistake in reconciler itself"
            if probe.failure != reason:
                _log.exception("probe failed", container=probe.state.name, reason=reason)
        else:
            probe.failure = ""
            return True
        probe.failure = reason
        return False

    def _carry_out(self, probe: _Probe, plan: ProbePlan) -> None:
        """Returns where the probe succeeds.

        Raises:
            ProbeFailed: it does not, or cannot be carried out.
            EngineError: the engine could not run its command.
        """
        if plan.command:
            code, _ = self._engine.exec(probe.state.id, plan.command, timeout=plan.timeout)
            if code != 0:
                raise ProbeFailed(f"{plan.command[0]} exited with {code}")
        elif plan.http_port is not None:
            if not probe.address:
                raise ProbeFailed(OUT_OF_REACH)
            from reconciler.controller.nodeservices.http_probe import probe_http  # noqa: PLC0415  (h11)

            probe_http(plan, probe.address, source=probe.source)
        elif (port := plan.tcp_port or plan.grpc_port) is not None and not self._probe_tcp(
            probe, port, plan.timeout
        ):
            raise ProbeFailed(f"nothing takes connections at port {port}")

    def _probe_tcp(self, probe: _Probe, port: int, timeout: float) -> bool:
        if probe.address:
            source = (probe.source, 0)
            with suppress(OSError), socket.create_connection((probe.address, port), timeout, source):
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


class _Probe:
    """The probing of one container: its thread's input and results.

    Args:
        address: of the pod; "" where it is out of reach.
        source: address of this host to connect from: were the pod's network not this host's, its address
            could be that of any other machine.
    """

    def __init__(
        self, key: str, state: ContainerState, container: ContainerPlan, address: str, source: str
    ) -> None:
        self.key = key
        self.state = state
        self.container = container
        self.address = address
        self.source = source
        self.started = self.ready = False
        #: Why it failed last; "" while it passes.
        self.failure = ""
        self.stop = threading.Event()
