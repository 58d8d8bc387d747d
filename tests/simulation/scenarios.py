"""Short lives of one job, each played the same way with and without faults; and what is compared at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from reconciler.names import LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_RESTART
from tests.simulation.faults import Injector, Point
from tests.simulation.manifests import job, runtime, step
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.walk_runtimes import RUNTIMES
from tests.simulation.world import ContainerBehaviour, SimulatedContainer

#: Long enough for every back-off and resync that follows a single fault.
LONG = 130.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One life.

    Attributes:
        behaviour: what the containers do.
        before: brought about in peace, before faults are let in.
        act: what happens under faults.
        after: seconds until everything has come to rest, however the faults hit.
    """

    name: str
    act: Callable[[SimulatedHost], None]
    before: Callable[[SimulatedHost], None] = lambda _host: None
    behaviour: Callable[[SimulatedContainer], ContainerBehaviour] = lambda _container: ContainerBehaviour(
        duration=100_000
    )
    after: float = LONG

    def __str__(self) -> str:
        return self.name


def _tries(container: SimulatedContainer) -> tuple[int, int]:
    return int(container.labels[LABEL_ATTEMPT]), int(container.labels[LABEL_RESTART])


def _first_try_of_rank_1_fails(container: SimulatedContainer) -> ContainerBehaviour:
    if container.name == "demo-node-1" and _tries(container) == (0, 0):
        return ContainerBehaviour(duration=5, code=3)
    return ContainerBehaviour(duration=60)


def _submit(host: SimulatedHost) -> None:
    host.apply(
        runtime(
            "r",
            step("prepare"),
            step(
                "node",
                after=[("prepare", "Complete")],
                pod={"volumes": [{"name": "scratch", "emptyDir": {}}]},
                container={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
            ),
        )
    )
    host.apply(job("demo", "r"))
    host.run(6)


def _short_first_step(container: SimulatedContainer) -> ContainerBehaviour:
    return (
        ContainerBehaviour(duration=5)
        if "prepare" in container.name
        else ContainerBehaviour(duration=100_000)
    )


def _retried(host: SimulatedHost) -> None:
    host.apply(runtime("r", step("node", backoff=2), nodes=3))
    host.apply(job("demo", "r"))
    host.run(1)


def _gang(host: SimulatedHost) -> None:
    host.apply(runtime("r", step("node"), nodes=3, failurePolicy={"maxRestarts": 2}))
    host.apply(job("demo", "r"))
    host.run(1)


def _running(host: SimulatedHost) -> None:
    host.apply(runtime("r", step("node"), nodes=2))
    host.apply(job("demo", "r"))
    host.run(1)


def _suspended(host: SimulatedHost) -> None:
    _running(host)
    host.edit("demo.yaml", suspend=True)
    host.run(1)


def _suspend(host: SimulatedHost) -> None:
    host.edit("demo.yaml", suspend=True)
    host.run(1)


def _resume(host: SimulatedHost) -> None:
    host.edit("demo.yaml", suspend=False)
    host.run(1)


def _delete(host: SimulatedHost) -> None:
    host.delete("demo.yaml")
    host.run(1)


def _rerun(host: SimulatedHost) -> None:
    raw = host.files["demo.yaml"]
    annotations = {"reconciler.trainer.kubeflow.org/rerun": "again"}
    host.apply({**raw, "metadata": {**raw["metadata"], "annotations": annotations}})
    host.run(1)


SCENARIOS = (
    Scenario(name="start", act=_submit, behaviour=_short_first_step),
    Scenario(
        name="complete",
        before=_running,
        act=lambda s: s.run(70),
        behaviour=lambda _container: ContainerBehaviour(duration=60),
    ),
    Scenario(
        name="restart-in-place",
        before=_retried,
        act=lambda s: s.run(70),
        behaviour=_first_try_of_rank_1_fails,
    ),
    Scenario(
        name="restart-gang", before=_gang, act=lambda s: s.run(70), behaviour=_first_try_of_rank_1_fails
    ),
    Scenario(name="suspend", before=_running, act=_suspend),
    Scenario(name="resume", before=_suspended, act=_resume),
    Scenario(name="rerun", before=_running, act=_rerun),
    Scenario(name="delete", before=_running, act=_delete),
)


def _submit_pods(host: SimulatedHost) -> None:
    pod = next(r for r in RUNTIMES if r["metadata"]["name"] == "pods")
    host.apply(pod)
    host.apply(job("demo", "pods"))
    host.run(40)


def _pod_behaviour(container: SimulatedContainer) -> ContainerBehaviour:
    if container.name.endswith(("-fetch", "-check")):
        return ContainerBehaviour(duration=2)
    if container.name == "demo-node-1-proxy" and _tries(container) == (0, 0):
        return ContainerBehaviour(duration=8, code=1)
    return ContainerBehaviour(duration=100_000)


#: A pod of init containers, a native sidecar that fails once, and two regular ones; dear, so for kills only.
PODS = Scenario(name="pods", act=_submit_pods, behaviour=_pod_behaviour)


def undisturbed(folder: Path, scenario: Scenario) -> tuple[dict[str, Any], list[Point]]:
    """The oracle, and every point at which a fault can hit before all is at rest."""
    with simulated_host(folder, behaviour=scenario.behaviour) as host:
        scenario.before(host)
        host.faults.count, host.faults.tracing = 0, True
        scenario.act(host)
        host.faults.tracing = False
        host.run(scenario.after)
        host.check_at_rest()
        return end_state(host), list(host.faults.trace)


def differences(
    host: SimulatedHost, scenario: Scenario, oracle: dict[str, Any], injector: Injector
) -> list[str]:
    """Play a scenario with faults; what is otherwise in the end than in the undisturbed run."""
    scenario.before(host)
    host.faults.count = 0
    host.faults.injector = injector
    try:
        scenario.act(host)
        host.run(scenario.after)
        host.faults.calm()
        host.check_at_rest()
    except AssertionError as error:
        return [str(error)]
    found = end_state(host)
    return [f"{key} is {found[key]!r}, not {oracle[key]!r}" for key in oracle if found[key] != oracle[key]]


def end_state(host: SimulatedHost) -> dict[str, Any]:
    """What a user, the engine and the disk are left with, without ids and times."""
    record = host.record("demo")
    containers = {
        b.name: (b.state, b.exit.code if b.exit else None, int(b.labels[LABEL_RESTART]), b.spec.address[-2:])
        for b in host.owned_containers()
    }
    uids = {b.labels[LABEL_ATTEMPT] for b in host.owned_containers()}
    told = host.status("demo").get("status", {})
    return {
        "containers": containers,
        "attempts": uids,
        "networks": sorted(n.name for n in host.world.networks.values() if LABEL_INSTANCE in n.labels),
        "volumes": sorted(host.world.volumes),
        "logs": sorted((place, len(kept)) for place, kept in host.world.kept.items()),
        "files": sorted(PurePath(p).name for p in host.settings.specs.iterdir()),
        "phase": told.get("phase"),
        "message": told.get("message"),
        "conditions": [(c["type"], c["status"], c["reason"]) for c in told.get("conditions", ())],
        "jobs": told.get("jobsStatus"),
        "record": None
        if record is None
        else {
            "attempt": record.attempt,
            "restarts": record.restarts,
            "counted": record.counted_restarts,
            "failures": dict(record.step_failures),
            "done": dict(record.steps_done),
            "generation": (record.generation, record.observed_generation),
            "problem": record.problem.reason if record.problem else None,
            "containers": {
                n: (c.restart, c.failures, c.result.code if c.result else None)
                for n, c in record.containers.items()
            },
        },
    }
