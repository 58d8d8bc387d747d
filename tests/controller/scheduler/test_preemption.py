"""With ``preempt`` a job of higher priority has running ones of lower priority make room, which go on later."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.scheduler.admission_queue import Ask, Holder, victims_for
from reconciler.controller.scheduler.capacity import Ledger
from reconciler.controller.statemachine.decide import decide
from reconciler.state.record import Record
from tests.controller.timelines import World, plan_of

GPU = "nvidia.com/gpu"
ONE = plan_of({"steps": [{"name": "node", "containers": 1}]})


def test_the_lowest_and_youngest_go_and_no_more_than_needed() -> None:
    held = [
        Holder(key="old", amounts={GPU: 1}, priority=1, since=1),
        Holder(key="young", amounts={GPU: 1}, priority=1, since=2),
        Holder(key="low", amounts={GPU: 1}, priority=0, since=0),
        Holder(key="equal", amounts={GPU: 1}, priority=5, since=3),
    ]

    assert victims_for(Ask(key="a", amounts={GPU: 1}, priority=5), held, {GPU: 4}) == ("low",)
    assert victims_for(Ask(key="a", amounts={GPU: 2}, priority=5), held, {GPU: 4}) == ("low", "young")


def test_nobody_goes_in_vain() -> None:
    held = [Holder(key="low", amounts={GPU: 1}, priority=0), Holder(key="high", amounts={GPU: 3}, priority=9)]

    assert victims_for(Ask(key="a", amounts={GPU: 2}, priority=5), held, {GPU: 4}) == ()


def test_a_job_makes_room_waits_and_goes_on_as_after_a_suspension() -> None:
    world = World.of(ONE)
    world.converge()
    world.start("demo-node-0")

    asked = replace(world.observed(), make_room_for="default/urgent")
    decision = decide(ONE, asked, world.record, 1010.0, world.policy)

    assert (decision.record.preempted, decision.record.admitted, decision.record.attempt) == (True, False, 1)
    condition = decision.record.condition("Suspended")
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "Preempted")

    world.record, world.now = decision.record, 1020.0
    world.converge()  # removes, asks, and is admitted again: the world's ledger refuses nobody
    world.start("demo-node-0")

    assert not world.record.preempted
    assert world.status()["phase"] == "Running"
    assert {c["type"]: c["reason"] for c in world.status()["conditions"]} == {"Suspended": "Resumed"}


def test_the_ledger_names_the_victim_and_forgets_it_when_it_has_gone() -> None:
    called: list[str] = []
    ledger = Ledger(inventory=dict, max_jobs=1, on_release=called.append, preempt=True)
    low = Record(namespace="default", name="low", uid="u", created_at=1.0, admitted=True)
    ledger.follow(low)

    grant = ledger.admit("default/high", ONE, since=2.0, priority=1)

    assert grant.waiting
    assert called == ["default/low"]
    assert ledger.making_room_for("default/low") == "default/high"
    ledger.follow(low.model_copy(update={"admitted": False, "preempted": True}))
    assert ledger.making_room_for("default/low") == ""
    assert ledger.admit("default/high", ONE, since=2.0, priority=1).waiting == ""


def test_without_the_option_nobody_is_asked_to_go() -> None:
    called: list[str] = []
    ledger = Ledger(inventory=dict, max_jobs=1, on_release=called.append)
    ledger.follow(Record(namespace="default", name="low", uid="u", created_at=1.0, admitted=True))

    assert ledger.admit("default/high", ONE, priority=1).waiting
    assert called == []
