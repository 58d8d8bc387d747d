"""What jobs hold of the host, and which waiting jobs are queued when something becomes free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.controller.scheduler.capacity import HostCapacity
from reconciler.plan.job_plan import JobPlan, ResourcePlan
from reconciler.state.record import Record
from tests.controller.timelines import plan_of

GPU = "nvidia.com/gpu"


def plan(nodes: int = 1, gpus: int = 0) -> JobPlan:
    made = plan_of({"steps": [{"name": "node", "containers": nodes}]})
    step = made.steps[0]
    resources = ResourcePlan(devices={GPU: gpus} if gpus else {})
    pods = tuple(
        replace(p, containers=tuple(replace(c, resources=resources) for c in p.containers)) for p in step.pods
    )
    return replace(made, steps=(replace(step, pods=pods),))


def record(name: str, **fields: object) -> Record:
    made = Record(namespace="default", name=name, uid=name, created_at=0.0)
    return made.model_copy(update=fields)


def host_with(*, gpus: int = 4, max_jobs: int | None = None) -> tuple[HostCapacity, list[str]]:
    """A host's capacity, and the keys that it has queued."""
    queued: list[str] = []
    inventory: Mapping[str, tuple[str, ...]] = {GPU: tuple(str(i) for i in range(gpus))}
    return HostCapacity(inventory=lambda: inventory, max_jobs=max_jobs, enqueue=queued.append), queued


def test_each_node_gets_its_own_devices() -> None:
    host, _ = host_with()
    allocation = host.admit("default/a", plan(nodes=2, gpus=2))
    given = [i for node in allocation.devices.values() for i in node[GPU]]
    assert sorted(given) == ["0", "1", "2", "3"]


def test_a_job_gets_all_or_nothing() -> None:
    host, _ = host_with(gpus=3)
    allocation = host.admit("default/a", plan(nodes=2, gpus=2))
    assert allocation.devices == {}
    assert GPU in allocation.waiting


def test_no_device_is_assigned_twice() -> None:
    host, _ = host_with(gpus=2)
    first = host.admit("default/a", plan(gpus=1)).devices
    second = host.admit("default/b", plan(gpus=1)).devices
    assert first != second
    assert host.admit("default/c", plan(gpus=1)).waiting


def test_an_admitted_job_that_asks_again_gets_the_same_devices() -> None:
    host, _ = host_with()
    assert host.admit("default/a", plan(gpus=1)) == host.admit("default/a", plan(gpus=1))


def test_the_end_of_a_job_frees_its_share_and_queues_the_jobs_that_wait() -> None:
    host, queued = host_with(max_jobs=1)
    host.admit("default/a", plan(), since=1)
    assert "1 places" in host.admit("default/b", plan(), since=2).waiting
    host.sync(record("a", admitted=False))
    assert queued == ["default/b"]
    assert not host.admit("default/b", plan(), since=2).waiting


def test_a_waiting_job_that_is_removed_queues_those_behind_it() -> None:
    host, queued = host_with(gpus=1)
    host.admit("default/a", plan(gpus=1), since=1)
    host.admit("default/b", plan(gpus=1), since=2)
    host.admit("default/c", plan(gpus=1), since=3)
    host.remove("default/b")
    assert queued == ["default/c"]


def test_a_rerun_job_is_younger_and_leaves_its_place_to_the_next() -> None:
    host, queued = host_with(max_jobs=1)
    host.admit("default/a", plan())
    host.admit("default/b", plan(), since=1.0)
    host.admit("default/c", plan(), since=2.0)
    host.sync(record("a"))
    assert host.admit("default/c", plan(), since=2.0).waiting
    queued.clear()

    assert host.admit("default/b", plan(), since=3.0).waiting
    assert queued == ["default/c"]


def test_a_restarted_daemon_knows_what_is_held() -> None:
    host, _ = host_with(gpus=2)
    host.sync(record("a", admitted=True, devices={"a-node-0": {GPU: ("1",)}}, share={GPU: 1.0}))
    allocation = host.admit("default/b", plan(gpus=1))
    assert [i for node in allocation.devices.values() for i in node[GPU]] == ["0"]
