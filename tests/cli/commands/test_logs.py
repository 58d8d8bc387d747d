"""``reconciler logs``: kept files, printed and followed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

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


def test_rank_0_is_printed_unchanged(cli, job):
    done = cli("logs", "demo")

    assert (done.exit_code, done.stdout) == (0, "zero\nlast without end")


@pytest.mark.parametrize("more", [[], ["-f"]])
def test_logs_elsewhere_are_found_by_the_status(cli, specs, tmp_path, more):
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
def test_selected_containers(cli, job, arguments, text):
    done = cli("logs", "demo", *arguments)

    assert (done.exit_code, done.stdout) == (0, text)


def test_all_labels_each_line_nodes_first(cli, job):
    done = cli("logs", "demo", "--all", "--tail", "1")

    assert done.stdout.splitlines() == [
        "[0] last without end",
        "[1] one",
        "[10] ten",
        "[dataset-initializer] data",
        "[node-0-sidecar] beside",
    ]


def test_attempts(cli, job, home):
    for attempt in (2, 10):
        log(home, "demo-node-0", f"attempt {attempt}\n", attempt=attempt)

    assert cli("logs", "demo").stdout == "attempt 10\n"
    assert cli("logs", "demo", "--attempt", "2").stdout == "attempt 2\n"
    done = cli("logs", "demo", "--attempt", "7")
    assert done.exit_code == 1
    assert "There are: [0, 2, 10]" in done.stderr


def test_binary_output_is_passed_on(cli, job, home):
    path = log(home, "demo-node-0", "")
    path.write_bytes(b"\xff\x00\r\n")

    assert cli("logs", "demo").stdout_bytes == b"\xff\x00\r\n"


def test_missing_log_names_the_phase(cli, specs):
    write(specs / "job.yaml", trainjob())
    write(specs / "job.status.yaml", sidecar(phase="Queued", message="waits for 2 GPUs"))

    done = cli("logs", "demo")

    assert done.exit_code == 1
    assert "There is no log of demo-node-0; demo is Queued: waits for 2 GPUs." in done.stderr


def test_follow_ends_with_the_job(cli, job):
    done = cli("logs", "demo", "-f")

    assert (done.exit_code, done.stdout) == (0, "zero\nlast without end")


def test_follow_waits_for_the_file_and_goes_on_over_restarts(cli, specs, home):
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


def test_follow_all_prints_whole_lines(cli, specs, home):
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


def test_follow_a_job_that_ends_without_a_log_fails(cli, specs):
    write(specs / "job.yaml", trainjob())
    write(specs / "job.status.yaml", sidecar(phase="Failed", message="no such image"))

    done = cli("logs", "demo", "-f")

    assert done.exit_code == 1
    assert "no such image" in done.stderr
