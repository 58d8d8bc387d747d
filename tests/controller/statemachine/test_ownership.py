"""Which containers and networks with a job's labels are its own, and what becomes of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.actions import ENGINE_BUSY, STILL_IN_USE, CleanUp, Remove
from reconciler.controller.statemachine.attempts import next_attempt, record_problem, reset_container
from reconciler.controller.statemachine.job_view import build_job_view
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.ownership import observe, own_containers, record_strays, take_over
from reconciler.engines.protocol import ContainerState, NetworkState
from reconciler.names import (
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_INDEX,
    LABEL_JOB,
    LABEL_RANK,
    LABEL_RESTART,
    LABEL_STEP,
    LABEL_UID,
)
from reconciler.state.record import Record
from tests.controller.timelines import node, plan_of, simulate

PLAN = plan_of({"steps": [node(2)]})


def record(**fields: object) -> Record:
    return Record(namespace="default", name="demo", uid="u1", created_at=0.0).replace(**fields)


def started(**containers: str) -> Record:
    """The record once the containers have been started, by their ids."""
    known = record()
    for name, identifier in containers.items():
        known = known.with_container(name.replace("_", "-"), container_id=identifier, started_at=1.0)
    return known


def container(
    identifier: str, name: str = "demo-node-0", *, state: str = "running", at: float = 1.0, **labels: str
) -> ContainerState:
    own = {
        LABEL_JOB: "demo",
        LABEL_UID: "u1",
        LABEL_STEP: "node",
        LABEL_INDEX: "0",
        LABEL_CONTAINER: "main",
        LABEL_ATTEMPT: "0",
        LABEL_RESTART: "0",
        LABEL_RANK: "0",
    }
    changed = {f"reconciler.trainer.kubeflow.org/{key}": value for key, value in labels.items()}
    return ContainerState(
        id=identifier, name=name, labels=own | changed, state=state, created_at=at, started_at=at
    )  # type: ignore[arg-type]


def own(known: Record, *listed: ContainerState) -> list[str]:
    return [c.id for c in own_containers(listed, PLAN, known)]


def test_the_container_that_the_record_names_is_own_whatever_its_name() -> None:
    assert own(started(demo_node_0="a"), container("a", "renamed")) == ["a"]


@pytest.mark.parametrize("state", ["created", "running", "exited"])
@pytest.mark.parametrize("name", ["eager_tesla", "demo-node-0-clone"])
def test_a_copy_is_not_own(name: str, state: str) -> None:
    copy = container("b", name, state=state, at=2.0)

    assert own(started(demo_node_0="a"), container("a"), copy) == ["a"]
    assert own(record(), copy) == []


def test_before_its_id_is_saved_the_planned_name_and_the_labels_tell_the_own_one() -> None:
    assert own(record(), container("a"), container("b", "renamed")) == ["a"]


def test_a_copy_that_took_the_name_of_a_renamed_or_removed_rank_is_not_own() -> None:
    known = started(demo_node_0="a")

    assert own(known, container("a", "renamed"), container("b", at=2.0)) == ["a"]
    assert own(known, container("b", at=2.0)) == []


def test_what_was_created_and_not_started_may_be_made_anew_under_its_name() -> None:
    known = record().with_container("demo-node-0", container_id="a")

    assert own(known, container("b", state="created")) == ["b"]
    assert own(known, container("a", "renamed", state="created"), container("b", state="created")) == ["a"]


@pytest.mark.parametrize("labels", [{"attempt": "7"}, {"restart": "3"}, {"uid": "u0"}])
def test_what_another_run_left_under_a_name_of_ours_is_own(labels: dict[str, str]) -> None:
    assert own(started(demo_node_0="a"), container("b", **labels)) == ["b"]
    assert own(started(demo_node_0="a"), container("b", "eager_tesla", **labels)) == []


@pytest.mark.parametrize("labels", [{}, {"attempt": "7"}, {"uid": "u0"}])
def test_a_copy_with_a_like_name_is_not_own_beside_the_one_in_place(labels: dict[str, str]) -> None:
    copy = container("b", "demo-node-0-main", at=2.0, **labels)

    assert own(record(), container("a"), copy) == ["a"]


def test_a_name_of_a_larger_job_of_before_is_a_name_of_ours() -> None:
    left = container("c", "demo-node-5", index="5", uid="u0")

    assert own(record(), left) == ["c"]
    assert [c.id for c in own_containers([left], None, record(uid=""))] == ["c"]


def test_a_stray_stays_one_when_the_name_is_given_to_another_run() -> None:
    known = reset_container(record(strays=("b",)), "demo-node-0", not_before=0.0)

    assert own(known, container("b")) == []


@pytest.mark.parametrize("end", ["restart", "attempt"])
def test_a_renamed_container_of_a_run_that_is_over_is_still_own(end: str) -> None:
    known = started(demo_node_0="a")
    later = reset_container(known, "demo-node-0", not_before=0.0) if end == "restart" else next_attempt(known)

    assert own(later, container("a", "renamed")) == ["a"]
    assert record_strays(later, Observed(), now=1.0).earlier_ids == ()


def test_of_two_for_one_place_the_one_the_record_knows_is_current() -> None:
    known = record(earlier_ids=("a",))
    observed = observe([container("a", "renamed", at=1.0), container("b", at=2.0)], [], PLAN, known)

    view = build_job_view(PLAN, observed, known)

    assert view.steps[0].pods[0].primary.state == observed.containers[0]
    assert [state.id for state in view.stale] == ["b"]


def test_a_network_is_own_by_its_name() -> None:
    ours = NetworkState(id="n1", name="demo-net", labels={}, subnet="10.9.0.0/24")
    other = replace(ours, id="n2", name="demo-net-copy")

    observed = observe([], [other, ours], PLAN, record())

    assert observed.network == ours
    assert [(s.kind, s.name) for s in observed.strays] == [("network", "demo-net-copy")]


def test_each_stray_is_reported_once_and_again_when_it_comes_back() -> None:
    copy = container("b" * 64, "eager_tesla")
    seen = observe([copy], [], PLAN, record())

    first = record_strays(record(), seen, now=1.0)
    again = record_strays(first, seen, now=2.0)
    gone = record_strays(again, Observed(), now=3.0)
    back = record_strays(gone, seen, now=4.0)

    assert again == first
    assert gone.strays == ()
    (event,) = first.events
    assert (event.reason, event.type) == ("NotOurs", "Warning")
    assert "eager_tesla (bbbbbbbbbbbb)" in event.message
    assert back.events[-1].count == 2


@pytest.mark.parametrize("reason", [STILL_IN_USE, ENGINE_BUSY])
def test_what_waits_for_a_stray_is_tried_when_it_has_gone(reason: str) -> None:
    waiting = record_problem(record(strays=("b",)), reason, "in use", now=100.0)

    woken = record_strays(waiting, Observed(), now=100.1)

    assert woken.problem is not None
    assert woken.problem.retry_at == 100.1


def test_a_new_job_takes_over_what_runs_under_its_names() -> None:
    new = record(uid="new", unseen=True)
    runs = observe(
        [container("a", uid="u7", attempt="2"), container("x", "copy", uid="u8", at=9.0)], [], PLAN, new
    )

    taken = take_over(runs, new)

    assert (taken.uid, taken.recovered, taken.unseen, taken.started_at) == ("u7", True, False, 1.0)
    assert "were lost" in taken.events[-1].message


def test_a_new_job_takes_over_nothing_that_never_ran() -> None:
    new = record(uid="new", unseen=True)

    taken = take_over(observe([container("a", state="created", uid="u7")], [], PLAN, new), new)

    assert (taken.uid, taken.recovered, taken.unseen) == ("new", False, False)


def test_an_ended_job_waits_before_it_tries_again_to_remove_a_network_in_use() -> None:
    job = simulate(node(1))
    job.start_all()
    job.exit("demo-node-0", 0)
    used = NetworkState(id="n1", name="demo-net", labels={}, subnet="10.9.0.0/24")
    job.record = record_problem(job.record.replace(cleaned=False), STILL_IN_USE, "in use", now=job.now)

    early = job.decide(Observed(network=used))
    due = job.decide(Observed(network=used), now=job.now + 1.0)
    left = job.decide(Observed(network=used, containers=(container("z", restart="9"),)))

    assert (early.actions, early.requeue_at) == ((), job.now + 1.0)
    assert due.actions == (CleanUp(),)
    assert isinstance(left.actions[0], Remove)
