"""Reading log files that grow, from their last lines on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.client.jobs.file_tail import FileTail, tail_offset


@given(lines=st.lists(st.text("ab", max_size=3), max_size=8), ended=st.booleans(), wanted=st.integers(0, 10))
def test_tail_offset_is_at_the_start_of_a_line(tmp_path_factory, lines, ended, wanted):
    path = tmp_path_factory.mktemp("tail") / "log"
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    path.write_text(text)

    offset = tail_offset(path, wanted)

    whole = text.split("\n")
    if whole and whole[-1] == "":
        whole.pop()
    kept = whole[-wanted:] if wanted else []
    assert text[offset:].split("\n")[: len(kept)] == kept
    assert len(text[offset:].removesuffix("\n").split("\n")) == max(len(kept), 1)


def test_tail_longer_than_a_chunk(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%07d\n" % number for number in range(100_000)))

    assert path.read_bytes()[tail_offset(path, 70_000) :].startswith(b"0030000\n")


def test_truncated_file_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    tail = FileTail(path)
    assert list(tail.read_lines()) == [b"one", b"two"]

    path.write_text("new\n")

    assert list(tail.read_lines()) == [b"new"]


def test_missing_file_has_no_lines_yet(tmp_path):
    tail = FileTail(tmp_path / "log")

    assert list(tail.read_lines()) == []

    (tmp_path / "log").write_text("half")
    assert (list(tail.read_lines()), tail.read_unfinished_line()) == ([], b"half")
