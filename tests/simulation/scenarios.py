"""Short lives of one job, each played the same way with and without faults; and what is compared at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from reconciler.names import LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_RESTART
from tests.simulation.faults import Injector, Point
from tests.simulation.kinds import RUNTIMES
from tests.simulation.manifests import job, runtime, step
from tests.simulation.site import Site, site
from tests.simulation.world import Box, Fate

#: Long enough for every back-off and resync that follows a single fault.
LONG = 130.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One life.

    Attributes:
        fate: what the containers do.
        before: brought about in peace, before faults are let in.
        act: what happens under faults.
        after: seconds until everything has come to rest, however the faults hit.
    """

    name: str
    act: Callable[[Site], None]
    before: Callable[[Site], None] = lambda _site: None
    fate: Callable[[Box], Fate] = lambda _box: Fate(lasts=100_000)
    after: float = LONG

    def __str__(self) -> str:
        return self.name


def _tries(box: Box) -> tuple[int, int]:
    return int(box.labels[LABEL_ATTEMPT]), int(box.labels[LABEL_RESTART])


def _first_try_of_rank_1_fails(box: Box) -> Fate:
    if box.name == "demo-node-1" and _tries(box) == (0, 0):
        return Fate(lasts=5, code=3)
    return Fate(lasts=60)


def _submit(site: Site) -> None:
    site.apply(
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
    site.apply(job("demo", "r"))
    site.run(6)


def _short_first_step(box: Box) -> Fate:
    return Fate(lasts=5) if "prepare" in box.name else Fate(lasts=100_000)


def _retried(site: Site) -> None:
    site.apply(runtime("r", step("node", backoff=2), nodes=3))
    site.apply(job("demo", "r"))
    site.run(1)


def _gang(site: Site) -> None:
    site.apply(runtime("r", step("node"), nodes=3, failurePolicy={"maxRestarts": 2}))
    site.apply(job("demo", "r"))
    site.run(1)


def _running(site: Site) -> None:
    site.apply(runtime("r", step("node"), nodes=2))
    site.apply(job("demo", "r"))
    site.run(1)


def _suspended(site: Site) -> None:
    _running(site)
    site.edit("demo.yaml", suspend=True)
    site.run(1)


def _suspend(site: Site) -> None:
    site.edit("demo.yaml", suspend=True)
    site.run(1)


def _resume(site: Site) -> None:
    site.edit("demo.yaml", suspend=False)
    site.run(1)


def _delete(site: Site) -> None:
    site.delete("demo.yaml")
    site.run(1)


def _rerun(site: Site) -> None:
    raw = site.files["demo.yaml"]
    annotations = {"reconciler.trainer.kubeflow.org/rerun": "again"}
    site.apply({**raw, "metadata": {**raw["metadata"], "annotations": annotations}})
    site.run(1)


SCENARIOS = (
    Scenario(name="start", act=_submit, fate=_short_first_step),
    Scenario(name="complete", before=_running, act=lambda s: s.run(70), fate=lambda _box: Fate(lasts=60)),
    Scenario(
        name="restart-in-place", before=_retried, act=lambda s: s.run(70), fate=_first_try_of_rank_1_fails
    ),
    Scenario(name="restart-gang", before=_gang, act=lambda s: s.run(70), fate=_first_try_of_rank_1_fails),
    Scenario(name="suspend", before=_running, act=_suspend),
    Scenario(name="resume", before=_suspended, act=_resume),
    Scenario(name="rerun", before=_running, act=_rerun),
    Scenario(name="delete", before=_running, act=_delete),
)


def _submit_pods(site: Site) -> None:
    pod = next(r for r in RUNTIMES if r["metadata"]["name"] == "pods")
    site.apply(pod)
    site.apply(job("demo", "pods"))
    site.run(40)


def _pod_fate(box: Box) -> Fate:
    if box.name.endswith(("-fetch", "-check")):
        return Fate(lasts=2)
    if box.name == "demo-node-1-proxy" and _tries(box) == (0, 0):
        return Fate(lasts=8, code=1)
    return Fate(lasts=100_000)


#: A pod of init containers, a native sidecar that fails once, and two regular ones; dear, so for kills only.
PODS = Scenario(name="pods", act=_submit_pods, fate=_pod_fate)


def undisturbed(folder: Path, scenario: Scenario) -> tuple[dict[str, Any], list[Point]]:
    """The oracle, and every point at which a fault can hit before all is at rest."""
    with site(folder, fate=scenario.fate) as host:
        scenario.before(host)
        host.faults.count, host.faults.tracing = 0, True
        scenario.act(host)
        host.faults.tracing = False
        host.run(scenario.after)
        host.check_rest()
        return end_state(host), list(host.faults.trace)


def differences(host: Site, scenario: Scenario, oracle: dict[str, Any], injector: Injector) -> list[str]:
    """Play a scenario with faults; what is otherwise in the end than in the undisturbed run."""
    scenario.before(host)
    host.faults.count = 0
    host.faults.injector = injector
    try:
        scenario.act(host)
        host.run(scenario.after)
        host.faults.calm()
        host.check_rest()
    except AssertionError as error:
        return [str(error)]
    found = end_state(host)
    return [f"{key} is {found[key]!r}, not {oracle[key]!r}" for key in oracle if found[key] != oracle[key]]


def end_state(site: Site) -> dict[str, Any]:
    """What a user, the engine and the disk are left with, without ids and times."""
    record = site.record("demo")
    boxes = {
        b.name: (b.state, b.exit.code if b.exit else None, int(b.labels[LABEL_RESTART]), b.spec.address[-2:])
        for b in site.ours()
    }
    uids = {b.labels[LABEL_ATTEMPT] for b in site.ours()}
    told = site.status("demo").get("status", {})
    return {
        "boxes": boxes,
        "attempts": uids,
        "networks": sorted(n.name for n in site.world.networks.values() if LABEL_INSTANCE in n.labels),
        "volumes": sorted(site.world.volumes),
        "logs": sorted((place, len(kept)) for place, kept in site.world.kept.items()),
        "files": sorted(PurePath(p).name for p in site.settings.specs.iterdir()),
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
