"""A log folder belongs to one object; what another has left is moved aside, never mixed and never lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.state.kept_logs.log_folders import (
    claim_folder,
    find_former_folders,
    log_path_of,
    owned_folder,
    prepare_folder,
    read_owner,
    retire_folder,
)
from reconciler.state.kept_logs.log_paths import LogLocation


def _location(uid: str, *, attempt: int = 0, current: bool = True) -> LogLocation:
    return LogLocation(
        namespace="ns", job="demo", attempt=attempt, container="demo-node-0", uid=uid, current=current
    )


def _write(log_dir: Path, location: LogLocation, text: str) -> Path:
    path = prepare_folder(location, log_dir) / "demo-node-0.log"
    path.write_text(text)
    return path


def test_a_folder_is_private_and_says_whose_it_is(tmp_path: Path) -> None:
    path = _write(tmp_path / "logs", _location("aaaa1111-x"), "a")

    owner = read_owner(path.parents[1])
    assert owner is not None
    assert (owner.uids, owner.deleted_at) == (("aaaa1111-x",), None)
    assert [p.stat().st_mode & 0o777 for p in (tmp_path / "logs", *path.parents[:2])] == [0o700] * 3


def test_a_deleted_objects_folder_has_its_uid_in_its_name(tmp_path: Path) -> None:
    _write(tmp_path, _location("aaaa1111-x"), "a")

    retire_folder(tmp_path, "ns", "demo", "aaaa1111-x", now=5.0)

    [(namespace, folder)] = find_former_folders(tmp_path, "demo", None)
    assert (namespace, folder.name) == ("ns", "demo.aaaa1111")
    assert (folder / "0" / "demo-node-0.log").read_text() == "a"


def test_another_objects_folder_is_not_retired_along(tmp_path: Path) -> None:
    path = _write(tmp_path, _location("bbbb2222-x"), "b")

    retire_folder(tmp_path, "ns", "demo", "aaaa1111-x", now=5.0)

    assert path.read_text() == "b"


def test_the_present_object_displaces_a_folder_and_a_stale_container_does_not(tmp_path: Path) -> None:
    _write(tmp_path, _location("aaaa1111-x"), "a")
    new = _write(tmp_path, _location("bbbb2222-x"), "b")
    stale = _write(tmp_path, _location("aaaa1111-x", current=False), "a, more")

    assert new == tmp_path / "ns" / "demo" / "0" / "demo-node-0.log"
    assert new.read_text() == "b"
    assert stale == tmp_path / "ns" / "demo.aaaa1111" / "0" / "demo-node-0.log"
    assert stale.read_text() == "a, more"


def test_an_object_that_was_displaced_finds_its_logs_again(tmp_path: Path) -> None:
    first = _location("aaaa1111-x")
    _write(tmp_path, first, "a")
    _write(tmp_path, _location("bbbb2222-x"), "b")

    assert log_path_of(first, tmp_path).read_text() == "a"
    assert owned_folder(tmp_path / "ns" / "demo", "") == tmp_path / "ns" / "demo."


def test_an_object_whose_folder_made_room_takes_it_back_when_it_is_free(tmp_path: Path) -> None:
    first = _location("aaaa1111-x")
    _write(tmp_path, first, "a")
    _write(tmp_path, _location("bbbb2222-x"), "b")
    retire_folder(tmp_path, "ns", "demo", "bbbb2222-x", now=5.0)

    claim_folder(tmp_path, "ns", "demo", "aaaa1111-x", created_at=1.0, continues="")

    assert log_path_of(first, tmp_path) == first.path(tmp_path)
    assert first.path(tmp_path).read_text() == "a"


def test_a_rerun_goes_on_in_the_folder_of_what_it_continues(tmp_path: Path) -> None:
    _write(tmp_path, _location("aaaa1111-x"), "a")

    claim_folder(tmp_path, "ns", "demo", "bbbb2222-x", created_at=1e12, continues="aaaa1111-x")

    path = _write(tmp_path, _location("bbbb2222-x", attempt=1), "b")
    assert path.parents[1].name == "demo"
    owner = read_owner(path.parents[1])
    assert owner is not None
    assert owner.uids == ("aaaa1111-x", "bbbb2222-x")


def test_of_a_folder_without_a_marker_older_attempts_are_moved_aside(tmp_path: Path) -> None:
    for attempt, age in ((0, 0), (2, 5000)):
        path = tmp_path / "ns" / "demo" / str(attempt) / "demo-node-0.log"
        path.parent.mkdir(parents=True)
        path.write_text(str(attempt))
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    now = path.stat().st_mtime + 5000

    claim_folder(tmp_path, "ns", "demo", "aaaa1111-x", created_at=now - 100, continues="")

    folders = [folder for _, folder in find_former_folders(tmp_path, "demo", "ns")]
    assert [sorted(p.name for p in f.iterdir() if p.is_dir()) for f in folders] == [["0"], ["2"]]


def test_a_taken_name_keeps_both_logs(tmp_path: Path) -> None:
    uid = "aaaa1111-x"
    _write(tmp_path, _location(uid), "a")
    retire_folder(tmp_path, "ns", "demo", uid, now=5.0)
    folder = tmp_path / "ns" / "demo"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "demo-node-0.log").write_text("again")

    retire_folder(tmp_path, "ns", "demo", uid, now=6.0)

    texts = sorted(p.read_text() for p in (tmp_path / "ns" / "demo.aaaa1111").rglob("*.log"))
    assert texts == ["a", "again"]
    assert not folder.exists()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../etc"])
def test_names_that_no_job_has_find_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "logs" / "ns").mkdir(parents=True)

    assert find_former_folders(tmp_path / "logs", name, "ns") == []
    assert find_former_folders(tmp_path / "logs", "demo", name) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"uids": []}', '{"uids": [1]}', "\x00", "[" * 9000])
def test_a_damaged_marker_counts_as_none(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, _location("aaaa1111-x"), "a")
    (path.parents[1] / ".object.json").write_text(text)

    assert read_owner(path.parents[1]) is None
    assert log_path_of(_location("cccc3333-x"), tmp_path) == path
