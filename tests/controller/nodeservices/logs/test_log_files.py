"""A log file is a prefix of the log, however often and at whatever byte reading is interrupted."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.controller.nodeservices.logs.log_files import ROTATED, LogFile, tail
from reconciler.state.kept_logs.log_paths import LogLocation

LOCATION = LogLocation(namespace="default", job="demo", attempt=0, container="x", uid="u", current=True)
CUTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 1500)), max_size=6)


def read_to(file, log, end, step):
    """Feeds the log from its beginning up to ``end``, ``step`` bytes at a time."""
    writer = file.writer()
    for start in range(0, min(end, len(log)), step):
        writer.feed(log[start : min(start + step, end)])
    if end >= len(log):
        writer.end()
    writer.close()


@settings(deadline=None, max_examples=40)
@given(log=st.binary(max_size=4000), cuts=CUTS)
def test_interrupted_reads_result_in_the_whole_log(log, cuts):
    with tempfile.TemporaryDirectory() as folder:
        file = LogFile(LOCATION, Path(folder), "one")
        for end, step in cuts:
            read_to(file, log, end, step)
            assert log.startswith(file.path.read_bytes())
        read_to(file, log, len(log), 700)

        assert file.path.read_bytes() == log


@settings(deadline=None, max_examples=40)
@given(logs=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), cuts=CUTS)
def test_runs_of_one_container_follow_one_another(logs, cuts):
    with tempfile.TemporaryDirectory() as folder:
        path, expected = LOCATION.path(Path(folder)), b""
        for number, log in enumerate(logs):
            for end, step in [*cuts, (len(log), 300)]:
                read_to(LogFile(LOCATION, Path(folder), f"run-{number}"), log, end, step)
            if expected and not expected.endswith(b"\n"):
                expected += b"\n"
            expected += log
            # Reading an earlier run again leaves it unchanged.
            read_to(LogFile(LOCATION, Path(folder), "run-0"), logs[0], len(logs[0]), 300)

        assert path.read_bytes() == expected


@settings(deadline=None, max_examples=40)
@given(first=st.binary(min_size=1200, max_size=2000), second=st.binary(max_size=2000), cuts=CUTS)
def test_rotated_log_is_appended_once(first, second, cuts):
    with tempfile.TemporaryDirectory() as folder:
        file = LogFile(LOCATION, Path(folder), "one")
        read_to(file, b"1" + first, 5000, 500)
        for end, step in [*cuts, (5000, 500)]:
            read_to(file, b"2" + second, end, step)

        assert file.path.read_bytes() == b"1" + first + ROTATED + b"2" + second


def test_earlier_run_does_not_grow_into_a_later_one(tmp_path):
    for run, log in [
        ("one", b"first\n"),
        ("two", b"second\n"),
        ("one", b"first\nand more\n"),
        ("two", b"second\nend\n"),
    ]:
        read_to(LogFile(LOCATION, tmp_path, run), log, 5000, 3)

    assert LOCATION.path(tmp_path).read_bytes() == b"first\nsecond\nend\n"


def test_damaged_index_only_repeats_lines(tmp_path):
    file = LogFile(LOCATION, tmp_path, "one")
    read_to(file, b"line\n", 5, 5)
    file.path.with_name(".x.log.json").write_text("[[")

    read_to(file, b"line\nmore\n", 10, 5)

    assert file.path.read_bytes() == b"line\nline\nmore\n"


def test_tail(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"one\ntwo\r\n 10%\r 50%\r100%\nbad \xff\n")

    assert tail(path, 2) == ["100%", "bad \ufffd"]
    assert tail(path, 99) == ["one", "two", "100%", "bad \ufffd"]
    assert tail(path, 0) == []
    assert tail(tmp_path / "none", 5) == []


def test_tail_reads_only_the_end_of_a_large_log(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"x" * 100 + b"\n" + b"".join(b"line %d\n" % i for i in range(100_000)))

    lines = tail(path, 100_000)

    assert lines[-1] == "line 99999"
    assert all(line.startswith("line ") for line in lines)
    assert len(lines) < 10_000
