"""A log's file is a prefix of the log, however often reading breaks off, at whatever byte."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.controller.nodeservices.log_files import ROTATED, LogFile

CUTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 1500)), max_size=6)


def read_to(file, log, end, step):
    """Read the log from its beginning as far as ``end``, ``step`` bytes at a time."""
    writer = file.writer(trusted=False)
    for start in range(0, min(end, len(log)), step):
        writer.feed(log[start : min(start + step, end)])
    if end >= len(log):
        writer.end()
    writer.close()


@settings(deadline=None, max_examples=40)
@given(log=st.binary(max_size=4000), cuts=CUTS)
def test_readings_that_break_off_come_to_the_whole_log(log, cuts):
    with tempfile.TemporaryDirectory() as folder:
        file = LogFile(Path(folder) / "a" / "x.log", Path(folder), "one")
        for end, step in cuts:
            read_to(file, log, end, step)
            assert log.startswith(file.path.read_bytes())
        read_to(file, log, len(log), 700)

        assert file.path.read_bytes() == log


@settings(deadline=None, max_examples=40)
@given(logs=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), cuts=CUTS)
def test_runs_of_one_container_follow_one_another(logs, cuts):
    with tempfile.TemporaryDirectory() as folder:
        path, expected = Path(folder) / "x.log", b""
        for number, log in enumerate(logs):
            for end, step in [*cuts, (len(log), 300)]:
                read_to(LogFile(path, Path(folder), f"run-{number}"), log, end, step)
            if expected and not expected.endswith(b"\n"):
                expected += b"\n"
            expected += log
            # The earlier runs are as they were, also when they are read once more.
            read_to(LogFile(path, Path(folder), "run-0"), logs[0], len(logs[0]), 300)

        assert path.read_bytes() == expected


@settings(deadline=None, max_examples=40)
@given(first=st.binary(min_size=1200, max_size=2000), second=st.binary(max_size=2000), cuts=CUTS)
def test_a_rotated_log_is_appended_once(first, second, cuts):
    with tempfile.TemporaryDirectory() as folder:
        file = LogFile(Path(folder) / "x.log", Path(folder), "one")
        read_to(file, b"1" + first, 5000, 500)
        for end, step in [*cuts, (5000, 500)]:
            read_to(file, b"2" + second, end, step)

        assert file.path.read_bytes() == b"1" + first + ROTATED + b"2" + second


def test_an_earlier_run_cannot_grow_into_a_later_one(tmp_path):
    for run, log in [
        ("one", b"first\n"),
        ("two", b"second\n"),
        ("one", b"first\nand more\n"),
        ("two", b"second\nend\n"),
    ]:
        read_to(LogFile(tmp_path / "x.log", tmp_path, run), log, 5000, 3)

    assert (tmp_path / "x.log").read_bytes() == b"first\nsecond\nend\n"


def test_a_lost_index_costs_repetition_and_nothing_else(tmp_path):
    file = LogFile(tmp_path / "x.log", tmp_path, "one")
    read_to(file, b"line\n", 5, 5)
    (tmp_path / ".x.log.json").write_text("[[")

    read_to(file, b"line\nmore\n", 10, 5)

    assert file.path.read_bytes() == b"line\nline\nmore\n"
