"""Records on disk: saved, listed, lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.state.record import ExitRecord, Record
from reconciler.state.record_store import RecordStore, UnusableRecord


def record(name: str = "demo", namespace: str = "default") -> Record:
    return Record(namespace=namespace, name=name, uid="u1", created_at=1.0)


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


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "default").write_text("a file is in the way")
    with pytest.raises(StateError, match="default"):
        RecordStore(tmp_path).save(record())


@pytest.mark.parametrize(
    "key", ["default/../../x", "default/" + "x" * 300, "default/.", "default/zero\0", "default/", "a/b/c"]
)
def test_an_object_with_a_name_that_is_none_has_no_record(tmp_path: Path, key: str) -> None:
    (tmp_path / "x.json").write_text(record().model_dump_json())
    store = RecordStore(tmp_path / "records" / "instance")

    assert store.load(key) is None
    store.delete(key)
    namespace, _, name = key.partition("/")
    with pytest.raises(StateError):
        store.save(record(name, namespace))
    assert (tmp_path / "x.json").exists()


def test_records_that_cannot_be_listed_are_an_error_and_not_none(tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    folder.symlink_to(folder)

    with pytest.raises(StateError, match="Cannot list"):
        list(RecordStore(folder).keys())


def test_a_record_in_anothers_place_cannot_be_used_and_is_kept(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.save(record("a"))
    (tmp_path / "default" / "a.json").rename(tmp_path / "default" / "b.json")

    with pytest.raises(UnusableRecord, match="it is the record of 'default/a'"):
        store.read("default/b")

    assert store.load("default/b") is None
    aside = store.set_aside("default/b")
    assert RecordStore(tmp_path).read("default/b") is None
    assert list(store.keys()) == []
    assert b'"name":"a"' in aside.read_bytes()


def test_a_record_of_another_instance_cannot_be_used(tmp_path: Path) -> None:
    RecordStore(tmp_path / "one").save(record())
    (tmp_path / "one").rename(tmp_path / "two")

    with pytest.raises(UnusableRecord, match="belongs to the instance 'one'"):
        RecordStore(tmp_path / "two").read("default/demo")


def test_records_of_earlier_versions_name_no_instance_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / "default" / "demo.json"
    path.parent.mkdir()
    path.write_text(record().model_dump_json(exclude_defaults=True))

    assert RecordStore(tmp_path).read("default/demo") == record()
