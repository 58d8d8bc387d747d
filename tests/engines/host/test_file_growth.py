"""Waiting for files to grow: told by the kernel, or by looking."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from reconciler.engines.host.file_growth import Growth


def test_a_write_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    growth = Growth(path)
    growth.expect()
    threading.Timer(0.05, lambda: path.write_text("more")).start()

    heard = growth.wait(10)

    assert heard
    growth.close()


def test_nothing_is_heard_of_other_files_and_after_closing(tmp_path: Path) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    path.touch()
    other.touch()
    growth, closed = Growth(path), Growth(path)
    closed.close()
    growth.expect()
    closed.expect()

    other.write_text("x")
    quiet = growth.wait(0.1)
    path.write_text("x")

    assert not quiet
    assert growth.wait(10)
    assert not closed.wait(0.1)
    growth.close()


def test_waking_ends_the_wait_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    growth = Growth(path)
    growth.expect()
    began = time.monotonic()
    threading.Timer(0.05, growth.wake).start()

    assert growth.wait(10)
    assert time.monotonic() - began < 5
    growth.close()


def test_a_file_that_is_not_there_is_not_told_of(tmp_path: Path) -> None:
    growth = Growth(tmp_path / "missing")

    assert not growth.told
    growth.close()
