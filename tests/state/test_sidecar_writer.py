"""Sidecars: a document per object, written when it changed, gathered, and tried again where the disk refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import StateError
from reconciler.state import sidecar_writer
from reconciler.state.sidecar_files import document_key, load_documents
from reconciler.state.sidecar_writer import (
    LAST_RETRY,
    MAX_PARSED_FILES,
    WITHHELD_RETRY,
    WRITE_INTERVAL,
    SidecarWriter,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def writer() -> tuple[SidecarWriter, Clock, list[StateError]]:
    clock, errors = Clock(), list[StateError]()
    return SidecarWriter(clock=clock, on_error=errors.append), clock, errors


def document(name: str, phase: str) -> dict[str, Any]:
    return {
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": "default"},
        "status": {"phase": phase},
    }


def put(sidecars: SidecarWriter, path: Path, name: str, phase: str, *, urgent: bool = False) -> None:
    made = document(name, phase)
    sidecars.put(path, document_key(made), made, urgent=urgent)


def phases(path: Path) -> dict[str, str]:
    return {d["metadata"]["name"]: d["status"]["phase"] for d in load_documents(path)}


def test_no_sidecar_is_made_until_its_manifest_is_back(tmp_path) -> None:
    sidecars, clock, errors = writer()
    manifest = tmp_path / "specs" / "deep" / "a.yaml"
    path = manifest.with_name("a.status.yaml")
    made = document("a", "Running")

    sidecars.put(path, document_key(made), made, manifest=manifest, urgent=True)
    assert sidecars.flush() == WITHHELD_RETRY
    assert not (tmp_path / "specs").exists()

    manifest.parent.mkdir(parents=True)
    manifest.touch()
    clock.now += WITHHELD_RETRY
    sidecars.flush()
    assert phases(path) == {"a": "Running"}
    assert not errors


def test_an_existing_sidecar_is_updated_though_its_manifest_has_gone(tmp_path) -> None:
    sidecars, _, _ = writer()
    manifest, path = tmp_path / "a.yaml", tmp_path / "a.status.yaml"
    manifest.touch()
    for phase in ("Running", "Failed"):
        made = document("a", phase)
        sidecars.put(path, document_key(made), made, manifest=manifest, urgent=True)
        manifest.unlink(missing_ok=True)
    assert phases(path) == {"a": "Failed"}


def test_the_first_change_is_written_at_once_and_later_ones_together(tmp_path: Path) -> None:
    sidecars, clock, _ = writer()
    path = tmp_path / "a.status.yaml"
    clock.now = 10.0
    put(sidecars, path, "a", "Pending")
    assert phases(path) == {"a": "Pending"}
    put(sidecars, path, "a", "Running")
    assert phases(path) == {"a": "Pending"}
    assert sidecars.flush() == pytest.approx(WRITE_INTERVAL)
    clock.now = 10.0 + WRITE_INTERVAL
    assert sidecars.flush() is None
    assert phases(path) == {"a": "Running"}


def test_an_urgent_change_is_written_at_once(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "a.status.yaml"
    put(sidecars, path, "a", "Pending")
    put(sidecars, path, "a", "Complete", urgent=True)
    assert phases(path) == {"a": "Complete"}


def test_an_unchanged_document_is_not_written_again(tmp_path: Path) -> None:
    sidecars, clock, _ = writer()
    path = tmp_path / "a.status.yaml"
    put(sidecars, path, "a", "Running")
    before = path.stat().st_ino
    clock.now = 100.0
    put(sidecars, path, "a", "Running", urgent=True)
    assert path.stat().st_ino == before


def test_objects_of_one_file_share_a_sidecar_and_are_removed_one_by_one(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "both.status.yaml"
    put(sidecars, path, "a", "Running", urgent=True)
    put(sidecars, path, "b", "Failed", urgent=True)
    assert phases(path) == {"a": "Running", "b": "Failed"}
    sidecars.remove(path, "TrainJob/default/a")
    assert phases(path) == {"b": "Failed"}
    sidecars.remove(path, "TrainJob/default/b")
    assert not path.exists()


def test_a_new_daemon_keeps_the_documents_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "both.status.yaml"
    first, _, _ = writer()
    put(first, path, "a", "Complete", urgent=True)
    second, _, _ = writer()
    put(second, path, "b", "Running", urgent=True)
    assert phases(path) == {"a": "Complete", "b": "Running"}


def test_objects_that_are_not_retained_are_removed(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "both.status.yaml"
    put(sidecars, path, "a", "Complete", urgent=True)
    put(sidecars, path, "b", "Complete", urgent=True)
    sidecars.retain(path, {"TrainJob/default/b"})
    assert phases(path) == {"b": "Complete"}


def test_a_removed_sidecar_is_written_again(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "a.status.yaml"
    put(sidecars, path, "a", "Running")
    path.unlink()
    sidecars.rewrite_missing()
    assert phases(path) == {"a": "Running"}


def test_a_failed_write_is_reported_and_tried_again(tmp_path: Path) -> None:
    sidecars, clock, errors = writer()
    folder = tmp_path / "folder"
    folder.write_text("a file is in the way")
    path = folder / "a.status.yaml"
    put(sidecars, path, "a", "Running")
    assert len(errors) == 1
    folder.unlink()
    clock.now = 10.0
    sidecars.flush()
    assert phases(path) == {"a": "Running"}


def test_rewriting_a_removed_sidecar_is_tried_again_too(tmp_path: Path) -> None:
    sidecars, clock, errors = writer()
    folder = tmp_path / "folder"
    path = folder / "a.status.yaml"
    put(sidecars, path, "a", "Running")
    path.unlink()
    folder.rmdir()
    folder.write_text("a file is in the way")
    sidecars.rewrite_missing()
    assert errors
    folder.unlink()
    clock.now = 10.0
    sidecars.flush()
    assert phases(path) == {"a": "Running"}


def many(sidecars: SidecarWriter, folder: Path) -> None:
    """More files than are kept as data."""
    for number in range(MAX_PARSED_FILES + 1):
        put(sidecars, folder / f"{number}.status.yaml", f"job-{number}", "Complete")


def test_a_file_that_was_not_used_for_long_keeps_all_its_objects(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "both.status.yaml"
    put(sidecars, path, "a", "Complete", urgent=True)
    put(sidecars, path, "b", "Running", urgent=True)
    many(sidecars, tmp_path)

    put(sidecars, path, "b", "Complete", urgent=True)

    assert phases(path) == {"a": "Complete", "b": "Complete"}


def test_a_removed_sidecar_of_long_ago_is_written_again(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "a.status.yaml"
    put(sidecars, path, "a", "Complete")
    many(sidecars, tmp_path)
    path.unlink()

    sidecars.rewrite_missing()

    assert phases(path) == {"a": "Complete"}


def test_what_could_not_be_written_is_kept_however_many_follow(tmp_path: Path) -> None:
    sidecars, clock, errors = writer()
    folder = tmp_path / "folder"
    folder.write_text("a file is in the way")
    put(sidecars, folder / "a.status.yaml", "a", "Complete")
    many(sidecars, tmp_path)
    assert errors
    folder.unlink()
    clock.now = 10.0

    sidecars.flush()

    assert phases(folder / "a.status.yaml") == {"a": "Complete"}


def test_the_text_is_plain_yaml_in_the_order_given(tmp_path: Path) -> None:
    sidecars, _, _ = writer()
    path = tmp_path / "a.status.yaml"
    put(sidecars, path, "ä", "Running")
    assert yaml.safe_load(path.read_text()) == document("ä", "Running")
    assert path.read_text().startswith("kind: TrainJob")


def test_a_write_that_fails_is_told_once_and_tried_again_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecars, clock, errors = writer()
    path = tmp_path / "a.status.yaml"

    def fail(path: Path, data: bytes) -> None:
        raise StateError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr(sidecar_writer, "write_atomically", fail)
    put(sidecars, path, "a", "Running", urgent=True)
    waits = []
    for _ in range(10):
        wait = sidecars.flush()
        assert wait is not None
        waits.append(wait)
        clock.now += wait
    assert len([e for e in errors if "Cannot write" in str(e)]) == 1
    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY

    monkeypatch.undo()
    clock.now += LAST_RETRY
    assert sidecars.flush() is None
    assert phases(path) == {"a": "Running"}


def test_a_path_that_no_file_can_have_is_told_once_and_never_tried(tmp_path: Path) -> None:
    sidecars, clock, errors = writer()
    path = tmp_path / ("a" * 250 + ".status.yaml")
    for phase in ("Pending", "Running", "Complete"):
        put(sidecars, path, "a", phase, urgent=True)
        assert sidecars.flush() is None
        clock.now += LAST_RETRY
    sidecars.rewrite_missing()
    sidecars.remove(path, document_key(document("a", "")))

    assert len(errors) == 1
    assert "255 are possible" in str(errors[0])


def test_a_status_that_is_no_text_hinders_no_other(tmp_path: Path) -> None:
    sidecars, clock, errors = writer()
    bad, good = tmp_path / "a.status.yaml", tmp_path / "b.status.yaml"
    put(sidecars, bad, "a", "a lone half \ud800", urgent=True)
    put(sidecars, good, "b", "Pending", urgent=True)
    clock.now += WRITE_INTERVAL
    put(sidecars, good, "b", "Running")
    sidecars.flush(everything=True)

    assert phases(good) == {"b": "Running"}
    assert len(errors) <= 1
