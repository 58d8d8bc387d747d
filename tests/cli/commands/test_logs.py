"""``logs``: kept files, printed and followed; and reading files that grow."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.client.jobs.log_tailing import GrowingFile, tail_offset
from tests.cli.samples import node, sidecar, trainjob, write


def log(home: Path, name: str, text: str, *, attempt: int = 0) -> Path:
    path = home / "state" / "reconciler" / "logs" / "default" / "demo" / str(attempt) / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def status(specs: Path, phase: str, **more) -> None:
    nodes = more.pop("nodes", [node(0), node(1), node(10)])
    write(specs / "job.status.yaml", sidecar(phase=phase, nodes=nodes, **more))


@pytest.fixture
def job(specs, home):
    write(specs / "job.yaml", trainjob())
    status(specs, "Complete")
    log(home, "demo-node-0", "zero\nlast without end")
    log(home, "demo-node-1", "one\n")
    log(home, "demo-node-10", "ten\n")
    log(home, "demo-dataset-initializer", "data\n")
    log(home, "demo-node-0-sidecar", "beside\n")
    return specs


def test_rank_0_is_printed_as_it_is(cli, job):
    done = cli("logs", "demo")

    assert (done.exit_code, done.stdout) == (0, "zero\nlast without end")


@pytest.mark.parametrize("more", [[], ["-f"]])
def test_logs_that_the_daemon_keeps_elsewhere_are_found_by_the_status(cli, specs, tmp_path, more):
    write(specs / "job.yaml", trainjob())
    kept = tmp_path / "elsewhere" / "default" / "demo" / "0" / "demo-node-0.log"
    append(kept, "kept elsewhere\n")
    status(specs, "Complete", nodes=[node(0, "exited", exitCode=0, log=str(kept))])

    done = cli("logs", "demo", *more)

    assert (done.exit_code, done.stdout) == (0, "kept elsewhere\n")
    assert str(kept.parent.parent) in cli("describe", "demo").stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--node", "1"], "one\n"),
        (["--node", "10"], "ten\n"),
        (["-c", "demo-node-0-sidecar"], "beside\n"),
        (["-c", "node-0-sidecar"], "beside\n"),
        (["--tail", "1"], "last without end"),
        (["--tail", "0"], ""),
        (["--step", "dataset-initializer"], "[dataset-initializer] data\n"),
        (["--step", "node"], "[0] zero\n[0] last without end\n[1] one\n[10] ten\n"),
    ],
)
def test_containers_are_chosen(cli, job, arguments, text):
    done = cli("logs", "demo", *arguments)

    assert (done.exit_code, done.stdout) == (0, text)


def test_all_lines_say_where_they_are_from_nodes_first(cli, job):
    done = cli("logs", "demo", "--all", "--tail", "1")

    assert done.stdout.splitlines() == [
        "[0] last without end",
        "[1] one",
        "[10] ten",
        "[dataset-initializer] data",
        "[node-0-sidecar] beside",
    ]


def test_the_latest_attempt_is_shown_unless_another_is_asked_for(cli, job, home):
    for attempt in (2, 10):
        log(home, "demo-node-0", f"attempt {attempt}\n", attempt=attempt)

    assert cli("logs", "demo").stdout == "attempt 10\n"
    assert cli("logs", "demo", "--attempt", "2").stdout == "attempt 2\n"
    done = cli("logs", "demo", "--attempt", "7")
    assert done.exit_code == 1
    assert "There are: [0, 2, 10]" in done.stderr


def test_bytes_that_are_no_text_are_passed_on(cli, job, home):
    path = log(home, "demo-node-0", "")
    path.write_bytes(b"\xff\x00\r\n")

    assert cli("logs", "demo").stdout_bytes == b"\xff\x00\r\n"


def test_no_log_says_what_the_job_does(cli, specs):
    write(specs / "job.yaml", trainjob())
    write(specs / "job.status.yaml", sidecar(phase="Queued", message="waits for 2 GPUs"))

    done = cli("logs", "demo")

    assert done.exit_code == 1
    assert "There is no log of demo-node-0; demo is Queued: waits for 2 GPUs." in done.stderr


def test_following_ends_with_the_job(cli, job):
    done = cli("logs", "demo", "-f")

    assert (done.exit_code, done.stdout) == (0, "zero\nlast without end")


def test_following_waits_for_the_file_and_goes_on_over_restarts(cli, specs, home):
    write(specs / "job.yaml", trainjob())
    write(specs / "job.status.yaml", sidecar(phase="Pending"))
    folder = home / "state" / "reconciler" / "logs" / "default" / "demo"

    def work() -> None:
        append(folder / "0" / "demo-node-0.log", "first ")
        status(specs, "Running", nodes=[node(0)])
        threading.Event().wait(0.3)
        append(folder / "0" / "demo-node-0.log", "try\n")
        threading.Event().wait(0.3)
        append(folder / "1" / "demo-node-0.log", "second try\n")
        status(specs, "Complete", nodes=[node(0, "exited", exitCode=0)], attempt=1)

    worker = threading.Thread(target=work)
    worker.start()
    done = cli("logs", "demo", "-f")
    worker.join()

    assert (done.exit_code, done.stdout) == (0, "first try\nsecond try\n")
    assert "--- attempt 1 ---" in done.stderr


def test_following_all_keeps_lines_whole(cli, specs, home):
    write(specs / "job.yaml", trainjob())
    status(specs, "Running", nodes=[node(0), node(1)])
    zero = log(home, "demo-node-0", "a")
    one = home / "state" / "reconciler" / "logs" / "default" / "demo" / "0" / "demo-node-1.log"

    def work() -> None:
        threading.Event().wait(0.2)
        append(one, "b\n")
        threading.Event().wait(0.2)
        append(zero, "aa\nend")
        status(specs, "Failed")

    worker = threading.Thread(target=work)
    worker.start()
    done = cli("logs", "demo", "--all", "-f")
    worker.join()

    assert sorted(done.stdout.splitlines()) == ["[0] aaa", "[0] end", "[1] b"]


def test_following_a_job_that_ends_without_a_log_says_so(cli, specs):
    write(specs / "job.yaml", trainjob())
    write(specs / "job.status.yaml", sidecar(phase="Failed", message="no such image"))

    done = cli("logs", "demo", "-f")

    assert done.exit_code == 1
    assert "no such image" in done.stderr


@given(lines=st.lists(st.text("ab", max_size=3), max_size=8), ended=st.booleans(), wanted=st.integers(0, 10))
def test_the_tail_begins_at_a_line(tmp_path_factory, lines, ended, wanted):
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


def test_a_tail_longer_than_a_piece_is_found(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%07d\n" % number for number in range(100_000)))

    assert path.read_bytes()[tail_offset(path, 70_000) :].startswith(b"0030000\n")


def test_a_file_that_is_written_anew_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    source = GrowingFile(path)
    assert list(source.lines()) == [b"one", b"two"]

    path.write_text("new\n")

    assert list(source.lines()) == [b"new"]


def test_a_file_that_is_not_there_yet_has_no_lines(tmp_path):
    source = GrowingFile(tmp_path / "log")

    assert list(source.lines()) == []

    (tmp_path / "log").write_text("half")
    assert (list(source.lines()), source.last_line()) == ([], b"half")
