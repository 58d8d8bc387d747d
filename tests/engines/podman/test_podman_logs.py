"""Podman's log file, read as conmon writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.engines.podman.podman_logs import LogFile, LogFileStream, decode

T = b"2026-11-23T14:57:12.662768758+00:00"


def line(text: bytes, *, tag: bytes = b"F", stream: bytes = b"stdout") -> bytes:
    return b" ".join((T, stream, tag, text)) + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ctr.log"


def read(path: Path, *, tail: int | None = None) -> bytes:
    file = LogFile(path=path, conmon=0, container="c")
    return b"".join(LogFileStream(file, follow=True, tail=tail))


def test_pieces_of_a_line_are_joined(path: Path) -> None:
    path.write_bytes(
        line(b"one")
        + line(b"a long ", tag=b"P")
        + line(b"line")
        + line(b"", stream=b"stderr")
        + line(b"\xff  x ")
    )

    assert read(path) == b"one\na long line\n\n\xff  x \n"


def test_a_last_line_without_a_line_break_is_kept_so(path: Path) -> None:
    path.write_bytes(line(b"one") + line(b"end", tag=b"P"))

    assert read(path) == b"one\nend"


def test_an_incomplete_line_is_decoded_later() -> None:
    whole, rest = decode(line(b"one") + T + b" stdout F tw")

    assert whole == b"one\n"
    assert decode(rest + b"o\n") == (b"two\n", b"")


@pytest.mark.parametrize(
    ("tail", "expected"), [(2, b"longer\nlast"), (1, b"last"), (0, b""), (9, b"a\nlonger\nlast")]
)
def test_tail_counts_whole_lines(path: Path, tail: int, expected: bytes) -> None:
    path.write_bytes(line(b"a") + line(b"lon", tag=b"P") + line(b"ger") + line(b"last", tag=b"P"))

    assert read(path, tail=tail) == expected


def test_a_rotated_file_is_followed(path: Path) -> None:
    path.write_bytes(line(b"old"))
    kept = path.open("ab")
    logs = iter(LogFileStream(LogFile(path=path, conmon=0, container="c"), follow=True, tail=None))
    assert next(logs) == b"old\n"

    kept.write(line(b"written at the last moment"))
    kept.close()
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(line(b"new"))
    fresh.rename(path)

    assert b"".join(logs) == b"written at the last moment\nnew\n"


def test_a_file_of_another_host_is_not_readable(path: Path) -> None:
    assert not LogFile(path=path, conmon=0, container="c").is_readable()
    path.write_bytes(b"")
    assert LogFile(path=path, conmon=0, container="c").is_readable()
    # A process of that number that is not this container's: another host's, or another namespace's.
    assert not LogFile(path=path, conmon=1, container="c" * 64).is_readable()
