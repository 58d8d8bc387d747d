"""Records: immutable data with the rules of conditions and events, and their place on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.state.record import EVENTS_KEPT, ContainerRecord, ExitRecord, Record
from reconciler.state.record_store import RecordStore


def record(name: str = "demo", namespace: str = "default") -> Record:
    return Record(namespace=namespace, name=name, uid="u1", created_at=1.0)


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


def test_an_event_told_again_is_counted() -> None:
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


def test_a_record_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    made = record().with_container("a", restart=1, result=ExitRecord(code=137, reason="OOMKilled"))
    made = made.model_copy(update={"devices": {"a": {"nvidia.com/gpu": ("0", "1")}}, "attempt": 3})
    store.save(made)
    assert RecordStore(tmp_path).load("default/demo") == made


def test_records_of_all_namespaces_are_listed(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    for namespace, name in (("team", "b"), ("default", "a")):
        store.save(record(name, namespace))
    assert list(store.keys()) == ["default/a", "team/b"]


def test_a_deleted_record_is_gone_and_may_be_deleted_again(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.save(record())
    store.delete("default/demo")
    store.delete("default/demo")
    assert store.load("default/demo") is None
    assert list(store.keys()) == []


def test_a_torn_record_counts_as_lost(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.save(record())
    path = tmp_path / "default" / "demo.json"
    path.write_bytes(path.read_bytes()[:20])
    assert store.load("default/demo") is None


def test_fields_of_a_newer_version_are_no_error(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.save(record())
    path = tmp_path / "default" / "demo.json"
    path.write_text(path.read_text().replace("{", '{"of_tomorrow": {"x": 1},', 1))
    assert store.load("default/demo") == record()


def test_records_are_for_their_owner_only(tmp_path: Path) -> None:
    RecordStore(tmp_path).save(record())
    assert (tmp_path / "default" / "demo.json").stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "default").write_text("a file is in the way")
    with pytest.raises(StateError, match="default"):
        RecordStore(tmp_path).save(record())
