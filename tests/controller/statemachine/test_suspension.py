"""Suspension and preemption: containers go, finished steps stay, the job goes on later."""

from __future__ import annotations

from dataclasses import replace

from reconciler.state.record import Problem
from tests.controller.timelines import SimulatedJob, node, plan_of, simulate

NODE = node(2, backoffLimit=0)


def test_a_suspended_job_has_no_containers_and_keeps_finished_steps() -> None:
    steps = [
        {"name": "prepare", "containers": 1},
        node(1, after=[{"name": "prepare", "status": "Complete"}]),
    ]
    job = simulate(*steps)
    job.start_all()
    job.exit("demo-prepare-0", 0)
    job.start_all()
    job.plan = replace(job.plan, suspend=True)
    job.converge()
    assert not job.containers
    job.plan = replace(job.plan, suspend=False)
    job.converge()
    assert set(job.containers) == {"demo-node-0"}


def test_suspension_clears_the_problem() -> None:
    job = SimulatedJob.accepted(plan_of({"steps": [NODE]}))
    problem = Problem(reason="NameTaken", message="taken", since=0.0, retry_at=999.0)
    job.record = job.record.model_copy(update={"problem": problem})
    job.plan = replace(job.plan, suspend=True)
    job.converge()
    assert job.record.problem is None


def test_a_deadline_counts_from_the_resume() -> None:
    plan = plan_of({"steps": [NODE]}, spec={"activeDeadlineSeconds": 60, "suspend": True})
    job = SimulatedJob.accepted(plan)
    job.converge()
    job.advance(1500.0)
    assert not job.record.finished
    job.plan = replace(job.plan, suspend=False)
    job.converge()
    assert job.requeue_at == 1560.0


def test_a_preempted_job_waits_and_goes_on_as_after_a_suspension() -> None:
    job = simulate(node())
    job.start("demo-node-0")

    asked = replace(job.observed(), preempted_by="default/urgent")
    decision = job.decide(asked, now=1010.0)

    assert (decision.record.preempted, decision.record.admitted, decision.record.attempt) == (True, False, 1)
    condition = decision.record.condition("Suspended")
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "Preempted")

    job.record, job.now = decision.record, 1020.0
    job.converge()  # removes, asks, and is admitted again: the simulated host admits every job
    job.start("demo-node-0")

    assert not job.record.preempted
    assert job.status()["phase"] == "Running"
    assert {c["type"]: c["reason"] for c in job.status()["conditions"]} == {"Suspended": "Resumed"}
