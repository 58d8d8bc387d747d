"""Waiting for files to change."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from reconciler.engines.host.file_watch import FileWatch


def test_a_write_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watch = FileWatch(path)
    watch.clear()
    threading.Timer(0.05, lambda: path.write_text("more")).start()

    notified = watch.wait(10)

    assert notified
    watch.close()


def test_other_files_and_closed_watches_are_not_notified(tmp_path: Path) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    path.touch()
    other.touch()
    watch, closed = FileWatch(path), FileWatch(path)
    closed.close()
    watch.clear()
    closed.clear()

    other.write_text("x")
    quiet = watch.wait(0.1)
    path.write_text("x")

    assert not quiet
    assert watch.wait(10)
    assert not closed.wait(0.1)
    watch.close()


def test_waking_ends_the_wait_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watch = FileWatch(path)
    watch.clear()
    began = time.monotonic()
    threading.Timer(0.05, watch.wake).start()

    assert watch.wait(10)
    assert time.monotonic() - began < 5
    watch.close()


def test_a_missing_file_is_not_watched(tmp_path: Path) -> None:
    watch = FileWatch(tmp_path / "missing")

    assert not watch.is_notified
    watch.close()
