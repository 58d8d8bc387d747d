"""Which containers start when: ranks, init containers, native sidecars, steps that depend on others."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.statemachine.actions import Launch
from reconciler.controller.statemachine.observation import ProbeResults
from reconciler.plan.job_plan import ProbePlan
from tests.controller.timelines import SimulatedJob, node, plan_of, simulate


def test_ranks_are_launched_in_order_before_other_steps() -> None:
    job = simulate({"name": "extra", "containers": 1}, node(3))
    assert job.log == [
        "launch demo-node-0",
        "launch demo-node-1",
        "launch demo-node-2",
        "launch demo-extra-0",
    ]


def test_init_containers_run_one_after_the_other_before_the_rest() -> None:
    pod = {"first": "init", "second": "init", "main": "main"}
    job = simulate(node(1, pod=pod))
    assert set(job.containers) == {"demo-node-0-first"}
    job.start("demo-node-0-first")
    job.exit("demo-node-0-first", 0)
    assert "demo-node-0" not in job.containers
    job.start("demo-node-0-second")
    job.exit("demo-node-0-second", 0)
    assert "demo-node-0" in job.containers


def test_a_native_sidecar_runs_before_what_follows_it() -> None:
    pod = {"proxy": "sidecar", "check": "init", "main": "main"}
    job = simulate(node(1, pod=pod))
    assert set(job.containers) == {"demo-node-0-proxy"}
    job.start("demo-node-0-proxy")
    assert set(job.containers) == {"demo-node-0-proxy", "demo-node-0-check"}
    job.start("demo-node-0-check")
    job.exit("demo-node-0-check", 0)
    assert "demo-node-0" in job.containers


def test_what_follows_a_native_sidecar_waits_for_its_startup_probe() -> None:
    plan = plan_of({"steps": [node(1, pod={"side": "sidecar", "main": "main"})]})
    (step,) = plan.steps
    (pod,) = step.pods
    probed = [
        replace(c, startup=ProbePlan(command=("true",))) if c.kind == "sidecar" else c for c in pod.containers
    ]
    plan = replace(plan, steps=(replace(step, pods=(replace(pod, containers=tuple(probed)),)),))
    job = SimulatedJob.accepted(plan)
    job.converge()
    job.start("demo-node-0-side")
    assert "demo-node-0" not in job.containers
    up = ProbeResults(started=frozenset({job.containers["demo-node-0-side"].id}))

    passed = job.decide(replace(job.observed(), probes=up))

    assert [p.containers for a in passed.actions if isinstance(a, Launch) for p in a.pods] == [
        ("demo-node-0",)
    ]


def test_steps_start_in_order_where_the_startup_policy_says_so() -> None:
    job = SimulatedJob.accepted(
        replace(
            plan_of({"steps": [{"name": "first", "containers": 1}, node(1)]}),
            startup_in_order=True,
        )
    )
    job.converge()
    assert set(job.containers) == {"demo-first-0"}
    job.start("demo-first-0")
    assert set(job.containers) == {"demo-first-0", "demo-node-0"}


def test_a_ready_dependency_waits_for_the_readiness_probe() -> None:
    steps = [
        {"name": "server", "containers": 1},
        node(1, after=[{"name": "server", "status": "Ready"}]),
    ]
    plan = plan_of({"steps": steps})
    server = plan.steps[0]
    probed = replace(server.pods[0].containers[0], readiness=ProbePlan(command=("true",)))
    instance = replace(server.pods[0], containers=(probed,))
    job = SimulatedJob.accepted(replace(plan, steps=(replace(server, pods=(instance,)), plan.steps[1])))
    job.converge()
    job.start("demo-server-0")
    assert set(job.containers) == {"demo-server-0"}
    passing = replace(
        job.observed(), probes=ProbeResults(ready=frozenset({job.containers["demo-server-0"].id}))
    )
    decision = job.decide(passing)
    assert [p.step for a in decision.actions if isinstance(a, Launch) for p in a.pods] == ["node"]
