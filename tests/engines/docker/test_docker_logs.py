"""Docker's follower read to its end: nothing lost, nothing twice, whatever the order of the times."""

from __future__ import annotations

import struct

from reconciler.engines.docker.docker_logs import FollowedLogs, RecentLines


class Scripted:
    """A multiplexed body of lines; each with its stream (1 stdout, 2 stderr), time and text."""

    def __init__(self, *lines: tuple[int, str, str]) -> None:
        self._pieces = [
            struct.pack(">BxxxL", stream, len(text)) + text
            for stream, text in ((s, f"{time} {line}\n".encode()) for s, time, line in lines)
        ]

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self._pieces.clear()


def at(nanoseconds: int) -> str:
    return f"2026-11-23T10:00:00.{nanoseconds:09d}Z"


ONE, TWO, THREE = (1, at(100), "one"), (2, at(200), "two"), (1, at(300), "three")


def read(followed: Scripted, rest: Scripted) -> list[bytes]:
    return list(FollowedLogs(followed, lambda _since: rest))  # type: ignore[arg-type]


def test_lines_that_the_follower_missed_are_read_after_it() -> None:
    assert read(Scripted(ONE), Scripted(ONE, TWO, THREE)) == [b"one\n", b"two\n", b"three\n"]


def test_a_line_that_precedes_an_older_one_is_not_read_twice() -> None:
    out_of_order = (ONE, THREE, TWO)

    assert read(Scripted(*out_of_order), Scripted(*out_of_order)) == [b"one\n", b"three\n", b"two\n"]


def test_equal_lines_of_one_time_are_all_kept() -> None:
    assert read(Scripted(ONE), Scripted(ONE, ONE, ONE)) == [b"one\n"] * 3


def test_lines_before_the_first_followed_one_are_left_out() -> None:
    assert read(Scripted(THREE), Scripted(ONE, TWO, THREE)) == [b"three\n"]


def test_a_container_that_is_gone_has_no_rest() -> None:
    assert list(FollowedLogs(Scripted(ONE), lambda _since: None)) == [b"one\n"]  # type: ignore[arg-type]


def test_the_rest_is_read_from_half_a_second_before_the_newest_line() -> None:
    asked: list[str] = []

    list(FollowedLogs(Scripted(ONE, (1, "2026-11-23T10:00:02.500000000Z", "late")), asked.append))  # type: ignore[arg-type, func-returns-value]

    assert len(asked) == 1
    assert asked[0].endswith("2.000000000")


def test_lines_that_cannot_be_read_again_are_forgotten() -> None:
    recent = RecentLines()

    for second in range(60):
        for number in range(100):
            recent.add([f"2026-11-23T10:00:{second:02}.{number:09d}Z line\n".encode()])

    assert recent.count().total() == 200, "the last two seconds: the window reaches into the one before"


def test_a_line_of_the_second_before_is_not_read_twice() -> None:
    lines = [(1, f"2026-11-23T10:00:0{second}.900000000Z", f"{second}") for second in range(5)]
    lines += [(2, "2026-11-23T10:00:05.100000000Z", "late")]

    assert len(read(Scripted(*lines), Scripted(*lines[-2:]))) == 6
