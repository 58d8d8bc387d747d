"""Records: immutable data with the rules of conditions and events."""

from __future__ import annotations

import pytest

from reconciler.state.record import ContainerRecord, Record
from reconciler.state.record_events import EVENTS_KEPT


def record() -> Record:
    return Record(namespace="default", name="demo", uid="u1", created_at=1.0)


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    first = record().with_condition("Suspended", "True", "Suspended", "a", now=1.0)
    again = first.with_condition("Suspended", "True", "Suspended", "b", now=2.0)
    turned = again.with_condition("Suspended", "False", "Resumed", "c", now=3.0)
    assert [c.at for c in (first, again, turned) for c in c.conditions] == [1.0, 1.0, 3.0]
    assert again.conditions[0].message == "b"


def test_conditions_keep_the_order_they_came_in() -> None:
    made = record()
    for kind in ("Suspended", "Failed"):
        made = made.with_condition(kind, "True", "x", "", now=1.0)
    made = made.with_condition("Suspended", "False", "y", "", now=2.0)
    assert [c.type for c in made.conditions] == ["Suspended", "Failed"]


@pytest.mark.parametrize(("kind", "finished"), [("Complete", True), ("Failed", True), ("Suspended", False)])
def test_only_complete_and_failed_are_final(kind: str, finished: bool) -> None:
    assert record().with_condition(kind, "True", "x", "", now=1.0).finished is finished


def test_a_repeated_event_is_counted() -> None:
    made = record()
    for now in (1.0, 2.0, 3.0):
        made = made.with_event("BackOff", "again", now=now)
    (event,) = made.events
    assert (event.count, event.at) == (3, 3.0)


def test_the_last_fifty_events_are_kept() -> None:
    made = record()
    for number in range(EVENTS_KEPT + 10):
        made = made.with_event("Started", str(number), now=float(number))
    assert len(made.events) == EVENTS_KEPT
    assert made.events[-1].message == str(EVENTS_KEPT + 9)


def test_changing_one_container_leaves_the_others() -> None:
    made = record().with_container("a", restart=1).with_container("b", restart=2)
    assert made.with_container("a", failures=3).containers == {
        "a": ContainerRecord(restart=1, failures=3),
        "b": ContainerRecord(restart=2),
    }
