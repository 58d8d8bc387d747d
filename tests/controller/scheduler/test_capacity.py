"""The host's ledger: who holds what, who waits, who is told when something becomes free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.controller.scheduler.capacity import Ledger
from reconciler.plan.job_plan import JobPlan, ResourcePlan
from reconciler.state.record import Record
from tests.controller.timelines import plan_of

GPU = "nvidia.com/gpu"


def plan(nodes: int = 1, gpus: int = 0) -> JobPlan:
    made = plan_of({"steps": [{"name": "node", "containers": nodes}]})
    step = made.steps[0]
    wanted = ResourcePlan(devices={GPU: gpus} if gpus else {})
    instances = tuple(
        replace(i, containers=tuple(replace(c, resources=wanted) for c in i.containers)) for i in step.pods
    )
    return replace(made, steps=(replace(step, pods=instances),))


def record(name: str, **fields: object) -> Record:
    made = Record(namespace="default", name=name, uid=name, created_at=0.0)
    return made.model_copy(update=fields)


class Told(list[str]):
    """Keys that were told to come up."""


def ledger(*, gpus: int = 4, max_jobs: int | None = None) -> tuple[Ledger, Told]:
    told = Told()
    inventory: Mapping[str, tuple[str, ...]] = {GPU: tuple(str(i) for i in range(gpus))}
    return Ledger(inventory=lambda: inventory, max_jobs=max_jobs, on_release=told.append), told


def test_each_node_gets_its_own_devices() -> None:
    book, _ = ledger()
    grant = book.admit("default/a", plan(nodes=2, gpus=2))
    given = [i for node in grant.devices.values() for i in node[GPU]]
    assert sorted(given) == ["0", "1", "2", "3"]


def test_a_job_gets_all_or_nothing() -> None:
    book, _ = ledger(gpus=3)
    grant = book.admit("default/a", plan(nodes=2, gpus=2))
    assert grant.devices == {}
    assert GPU in grant.waiting


def test_no_device_is_given_twice() -> None:
    book, _ = ledger(gpus=2)
    first = book.admit("default/a", plan(gpus=1)).devices
    second = book.admit("default/b", plan(gpus=1)).devices
    assert first != second
    assert book.admit("default/c", plan(gpus=1)).waiting


def test_asking_again_gives_the_same() -> None:
    book, _ = ledger()
    assert book.admit("default/a", plan(gpus=1)) == book.admit("default/a", plan(gpus=1))


def test_a_small_job_does_not_starve_a_large_one() -> None:
    book, _ = ledger(gpus=2)
    book.admit("default/a", plan(gpus=1), since=1)
    assert book.admit("default/big", plan(gpus=2), since=2).waiting
    assert book.admit("default/small", plan(gpus=1), since=3).waiting


def test_a_job_that_needs_nothing_the_head_waits_for_may_pass() -> None:
    book, _ = ledger(gpus=1)
    book.admit("default/a", plan(gpus=1), since=1)
    assert book.admit("default/b", plan(gpus=1), since=2).waiting
    assert not book.admit("default/c", plan(), since=3).waiting


def test_the_end_of_a_job_frees_its_share_and_wakes_who_waits() -> None:
    book, told = ledger(max_jobs=1)
    book.admit("default/a", plan(), since=1)
    assert "1 places" in book.admit("default/b", plan(), since=2).waiting
    book.follow(record("a", admitted=False))
    assert told == ["default/b"]
    assert not book.admit("default/b", plan(), since=2).waiting


def test_a_waiting_job_that_goes_wakes_those_behind_it() -> None:
    book, told = ledger(gpus=1)
    book.admit("default/a", plan(gpus=1), since=1)
    book.admit("default/b", plan(gpus=1), since=2)
    book.admit("default/c", plan(gpus=1), since=3)
    book.drop("default/b")
    assert told == ["default/c"]


def test_a_job_that_asks_anew_and_is_younger_leaves_its_place_to_the_next() -> None:
    book, told = ledger(max_jobs=1)
    book.admit("default/a", plan())
    book.admit("default/b", plan(), since=1.0)
    book.admit("default/c", plan(), since=2.0)
    book.follow(record("a"))
    assert book.admit("default/c", plan(), since=2.0).waiting
    told.clear()

    assert book.admit("default/b", plan(), since=3.0).waiting
    assert told == ["default/c"]


def test_a_restarted_daemon_knows_what_is_held() -> None:
    book, _ = ledger(gpus=2)
    book.follow(record("a", admitted=True, devices={"a-node-0": {GPU: ("1",)}}, share={GPU: 1.0}))
    grant = book.admit("default/b", plan(gpus=1))
    assert [i for node in grant.devices.values() for i in node[GPU]] == ["0"]
