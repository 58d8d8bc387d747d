"""Looks at the host: what is found, and that one that hangs holds up nobody for long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.common.host_looks import HostLooks, ResolvedPath, Step, UnansweredError, mount_of
from tests.support.dead_file_systems import DeadFileSystem, dead_file_system


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[DeadFileSystem]:
    with dead_file_system(tmp_path / "dead") as mounted:
        yield mounted


def found(path: Path | str) -> ResolvedPath:
    return HostLooks().resolve([str(path)])[0]


def test_a_path_is_resolved_as_the_kernel_does(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/sub")
    (tmp_path / "far").symlink_to(tmp_path / "link")
    (tmp_path / "loop").symlink_to("loop")

    for name in ("real", "link", "far", "link/..", "far/../sub/./x", "none/x", "real//sub", "far/none"):
        path = f"{tmp_path}/{name}"
        assert found(path).real == os.path.realpath(path), name
        assert (found(path).facts is not None) == Path(path).exists(), name
    assert isinstance(found(tmp_path / "loop").error, OSError)
    assert isinstance(found(f"{tmp_path}/a\0b").error, ValueError)


def test_the_mount_of_a_path_is_the_nearest(tmp_path: Path) -> None:
    assert mount_of("/proc/self").kind == "proc"
    assert mount_of(str(tmp_path)).device == mount_of(str(tmp_path / "none")).device != ""


def test_what_the_look_raises_is_raised() -> None:
    def fail(_step: Step) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        HostLooks().run("/", fail)


def test_a_look_that_hangs_is_an_error_and_the_other_paths_are_found(
    dead: DeadFileSystem, tmp_path: Path
) -> None:
    looks = HostLooks(seconds=0.5)
    (tmp_path / "link").symlink_to(dead.path / "in" / "it")

    results = looks.resolve([str(tmp_path), str(dead.path / "x"), str(tmp_path / "link"), "/"])

    assert [isinstance(r.error, UnansweredError) for r in results] == [False, True, True, False]
    assert str(dead.path) in str(results[2].error)


def test_no_second_thread_is_sent_to_a_file_system_that_hangs(dead: DeadFileSystem) -> None:
    looks = HostLooks(seconds=0.5)

    with ThreadPoolExecutor(16) as pool:
        many = list(pool.map(lambda n: looks.resolve([str(dead.path / str(n))])[0], range(200)))

    assert all(isinstance(result.error, UnansweredError) for result in many)
    # Those that came at the same moment as the first, and no more.
    assert sum(thread.name == "host-look" for thread in threading.enumerate()) <= 16
    before = time.monotonic()
    looks.resolve([str(dead.path / str(n)) for n in range(50)])
    assert time.monotonic() - before < 5


def test_others_are_not_held_up_by_those_that_wait(dead: DeadFileSystem, tmp_path: Path) -> None:
    looks = HostLooks(seconds=20.0)
    stuck = [
        threading.Thread(target=looks.resolve, args=([str(dead.path / str(n))],), daemon=True)
        for n in range(4)
    ]
    for thread in stuck:
        thread.start()
    deadline = time.monotonic() + 10
    while not dead.asked() and time.monotonic() < deadline:
        time.sleep(0.01)

    answered: list[Path] = []
    other = threading.Thread(
        target=lambda: (looks.resolve([str(tmp_path)]), answered.append(tmp_path)), daemon=True
    )
    other.start()
    other.join(15)

    assert answered == [tmp_path]
    dead.end()
    for thread in stuck:
        thread.join(15)


def test_a_file_system_that_answers_again_is_looked_at_again(dead: DeadFileSystem) -> None:
    looks = HostLooks(seconds=0.5)
    assert isinstance(looks.resolve([str(dead.path)])[0].error, UnansweredError)

    dead.end()

    deadline = time.monotonic() + 20
    while isinstance(looks.resolve([str(dead.path)])[0].error, UnansweredError):
        assert time.monotonic() < deadline


def test_a_mount_that_was_taken_away_keeps_nobody_from_what_is_below_it(
    dead: DeadFileSystem, tmp_path: Path
) -> None:
    looks = HostLooks(seconds=0.5)
    assert isinstance(looks.resolve([str(dead.path)])[0].error, UnansweredError)
    assert isinstance(looks.resolve([str(dead.path)])[0].error, UnansweredError)

    dead.unmount()

    assert [r.error for r in looks.resolve([str(dead.path), str(tmp_path)])] == [None, None]


def test_the_result_of_an_abandoned_look_is_discarded() -> None:
    looks, go, discarded = HostLooks(seconds=0.2), threading.Event(), threading.Event()

    def wait(_step: Step) -> int:
        go.wait(20)
        return 1

    discard: Callable[[int], None] = lambda _result: discarded.set()  # noqa: E731
    with pytest.raises(UnansweredError):
        looks.run("/", wait, discard=discard)
    go.set()

    assert discarded.wait(20)
