"""With ``preempt`` running jobs of lower priority make room for a job of higher priority."""

from __future__ import annotations

from reconciler.controller.scheduler.admission_queue import AdmissionRequest
from reconciler.controller.scheduler.capacity import HostCapacity
from reconciler.controller.scheduler.preemption import select_victims
from reconciler.state.record import Record
from tests.controller.timelines import node, plan_of

GPU = "nvidia.com/gpu"
ONE = plan_of({"steps": [node()]})


def test_the_lowest_and_youngest_jobs_make_room_and_no_more_than_needed() -> None:
    admitted = [
        AdmissionRequest(key="old", amounts={GPU: 1}, priority=1, since=1),
        AdmissionRequest(key="young", amounts={GPU: 1}, priority=1, since=2),
        AdmissionRequest(key="low", amounts={GPU: 1}, priority=0, since=0),
        AdmissionRequest(key="equal", amounts={GPU: 1}, priority=5, since=3),
    ]

    assert select_victims(AdmissionRequest(key="a", amounts={GPU: 1}, priority=5), admitted, {GPU: 4}) == (
        "low",
    )
    assert select_victims(AdmissionRequest(key="a", amounts={GPU: 2}, priority=5), admitted, {GPU: 4}) == (
        "low",
        "young",
    )


def test_no_job_makes_room_where_it_would_not_suffice() -> None:
    admitted = [
        AdmissionRequest(key="low", amounts={GPU: 1}, priority=0),
        AdmissionRequest(key="high", amounts={GPU: 3}, priority=9),
    ]

    assert select_victims(AdmissionRequest(key="a", amounts={GPU: 2}, priority=5), admitted, {GPU: 4}) == ()


def test_a_victim_is_marked_until_it_has_made_room() -> None:
    queued: list[str] = []
    host = HostCapacity(inventory=dict, max_jobs=1, enqueue=queued.append, preempt=True)
    low = Record(namespace="default", name="low", uid="u", created_at=1.0, admitted=True)
    host.sync(low)

    allocation = host.admit("default/high", ONE, since=2.0, priority=1)

    assert allocation.waiting
    assert queued == ["default/low"]
    assert host.preempted_by("default/low") == "default/high"
    host.sync(low.model_copy(update={"admitted": False, "preempted": True}))
    assert host.preempted_by("default/low") == ""
    assert host.admit("default/high", ONE, since=2.0, priority=1).waiting == ""


def test_without_the_option_no_job_makes_room() -> None:
    queued: list[str] = []
    host = HostCapacity(inventory=dict, max_jobs=1, enqueue=queued.append)
    host.sync(Record(namespace="default", name="low", uid="u", created_at=1.0, admitted=True))

    assert host.admit("default/high", ONE, priority=1).waiting
    assert queued == []
