"""Probing goes on whatever a probe comes to, and reaches no pod that is not on this host's networks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from reconciler.controller.nodeservices import http_probe
from reconciler.controller.nodeservices.probe_runner import ProbeRunner
from reconciler.controller.nodeservices.progress.progress_endpoints import is_pod_reachable
from reconciler.controller.statemachine.observation import Observed
from reconciler.engines.protocol import ContainerState, EngineInfo
from reconciler.names import LABEL_CONTAINER, LABEL_INDEX, LABEL_STEP
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan
from tests.plan.manifests import container, plan_of, runtime, step, trainjob

LABELS = {LABEL_STEP: "node", LABEL_INDEX: "0", LABEL_CONTAINER: "node"}
RUNNING = Observed(containers=(ContainerState(id="c1", name="demo-node-0", labels=LABELS, state="running"),))


def probed(**pod: Any) -> JobPlan:
    node = container(readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 1})
    return plan_of(trainjob(), runtime(step("node", node, pod=pod), policy={"numNodes": 1}))


class Probing:
    """A runner whose HTTP probes come to what the test says, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> None:
        self.changed = threading.Event()
        self.addresses: list[str] = []
        self._outcomes = iter(outcomes)
        monkeypatch.setattr(http_probe, "probe_http", self._probe)

    def _probe(self, _plan: object, address: str, *, source: str) -> None:
        self.addresses.append(f"{source} -> {address}")
        if (outcome := next(self._outcomes, None)) is not None:
            raise outcome

    def runner(self, reaches: Callable[..., bool] = lambda _pod: True) -> ProbeRunner:
        return ProbeRunner(cast("Any", None), reaches=reaches, on_change=lambda _key: self.changed.set())


@pytest.fixture
def close_later() -> Iterator[list[ProbeRunner]]:
    runners: list[ProbeRunner] = []
    yield runners
    for runner in runners:
        runner.close()


def test_a_probe_that_raises_whatever_it_may_has_failed_and_is_made_again(
    monkeypatch: pytest.MonkeyPatch, close_later: list[ProbeRunner]
) -> None:
    probing = Probing(monkeypatch, KeyError("x"), RecursionError(), MemoryError(), None)
    runner = probing.runner()
    close_later.append(runner)
    plan = probed()
    addresses = plan_addresses(plan, "10.89.3.0/24", "10.89.3.1")

    assert runner.sync(plan, RUNNING, addresses).ready == frozenset()
    assert probing.changed.wait(60)

    assert runner.sync(plan, RUNNING, addresses).ready == {"c1"}
    assert set(probing.addresses) == {"10.89.3.1 -> 10.89.3.2"}


@pytest.mark.parametrize(
    ("info", "pod", "reached"),
    [
        (EngineInfo(name="podman", version="", host="unix:///run/podman/podman.sock"), {}, True),
        (EngineInfo(name="docker", version="", host="unix:///run/docker.sock"), {}, True),
        (EngineInfo(name="process", version="", rootless=True), {}, True),
        (EngineInfo(name="podman", version="", host="unix:///x", rootless=True), {}, False),
        (EngineInfo(name="podman", version="", host="unix:///x", rootless=True), {"hostNetwork": True}, True),
        (
            EngineInfo(name="docker", version="", host="unix:///x", rootless=True),
            {"hostNetwork": True},
            False,
        ),
        (EngineInfo(name="docker", version="", host="tcp://gpu-box:2375"), {}, False),
        (EngineInfo(name="docker", version="", host="ssh://gpu-box"), {"hostNetwork": True}, False),
    ],
)
def test_a_pod_is_connected_to_only_where_its_network_is_this_hosts(
    info: EngineInfo, pod: dict[str, Any], reached: bool
) -> None:
    """Elsewhere its address could be any machine's."""
    assert is_pod_reachable(info, probed(**pod).pods[0]) is reached
