"""``reconciler run`` as a process."""

from __future__ import annotations

import copy
import json
import os
import pty
import signal
import threading
from pathlib import Path

import pytest
import yaml

from tests.cli.processes import ENGINE, run, start, write_job
from tests.cli.samples import RUNTIME, trainjob, write
from tests.support.workspaces import eventually


def test_wait_prints_each_change_of_phase(specs):
    write_job(specs, "print('done')")

    status, out, err = run("run", *ENGINE, "--wait", "--log-format", "console")

    assert (status, out) == (0, ""), err
    phases = [line.split(":")[1].split()[0] for line in err.splitlines() if line.startswith("default/demo:")]
    assert phases[-1] == "Complete", err
    assert run("wait", "demo", "--timeout", "5")[0] == 0


def test_wait_for_a_failing_job_exits_with_1(specs):
    runtime = copy.deepcopy(RUNTIME)
    runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["backoffLimit"] = 0
    write(specs / "runtime.yaml", runtime)
    trainer = {"numNodes": 1, "image": "none", "command": ["python3", "-c", "raise SystemExit(3)"]}
    write(specs / "demo.yaml", trainjob(trainer=trainer))

    status, _, err = run("run", *ENGINE, "--wait", "--log-format", "json")

    assert status == 1, err
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    assert [line["phase"] for line in lines if line["event"] == "phase changed"][-1] == "Failed"
    status, _, err = run("wait", "demo", "--timeout", "5")
    assert status == 1
    assert "rank 0 (demo-node-0) exited with 3" in err


def test_jobs_that_need_the_same_container_name_take_turns(specs):
    runtime = copy.deepcopy(RUNTIME)
    pod = {"containers": [{"name": "main", "image": "none", "command": ["python3", "-c", "print(1)"]}]}
    steps = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    steps.append({"name": "x-node", "replicas": 2, "template": {"spec": {"template": {"spec": pod}}}})
    write(specs / "runtime.yaml", runtime)
    waiting = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.05)"
    trainer = {"image": "none", "command": ["python3", "-c", waiting.format(str(specs.parent / "flag"))]}
    write(specs / "other.yaml", trainjob("demo-x", runtime="plain", trainer={**trainer, "numNodes": 1}))
    process = start("run", *ENGINE, "--wait", "--log-format", "json")
    try:
        assert run("wait", "demo-x", "--for", "Running", "--timeout", "60")[0] == 0
        write(specs / "demo.yaml", trainjob(trainer={**trainer, "numNodes": 1}))
        eventually(lambda: "demo-x-node-0 exists" in read_message(specs, "demo"), "the name conflict")
        message = read_message(specs, "demo")
        (specs.parent / "flag").touch()
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()

    assert "belongs to another job of this folder, default/demo-x; it is left alone." in message
    assert "reconciler rm" not in message
    assert process.returncode == 0, err


def read_message(specs: Path, name: str) -> str:
    """The message in the status of a job."""
    path = specs / f"{name}.status.yaml"
    return str(yaml.safe_load(path.read_text())["status"].get("message")) if path.exists() else ""


def test_wait_on_a_terminal_shows_a_table(specs):
    write_job(specs, "print('done')", nodes=1)
    master, slave = pty.openpty()
    process = start("run", *ENGINE, "--wait", stderr=slave, stdout=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    shown = bytearray()

    def read() -> None:
        try:
            while piece := os.read(master, 65536):
                shown.extend(piece)
        except OSError:
            return  # how a terminal says that the other end has gone

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert process.wait(timeout=90) == 0
    finally:
        process.kill()
        reader.join(timeout=10)
        os.close(master)
    assert b"PHASE" in shown
    assert b"Complete" in shown
    assert b"container started" not in shown


def test_log_that_nobody_kept_comes_from_the_engine(specs):
    write_job(specs, "import time; print('here I am', flush=True); time.sleep(60)", nodes=1)
    process = start("run", *ENGINE)
    try:
        assert run("wait", "demo", "--for", "Running", "--timeout", "60")[0] == 0
        eventually(lambda: run("logs", "demo")[1] == "here I am\n", "the kept log")
        process.kill()
        process.communicate()
        for kept in specs.parent.glob("state/reconciler/logs/**/*.log"):
            kept.unlink()

        assert run("logs", "demo") == (0, "here I am\n", "")
    finally:
        process.kill()
        (specs / "demo.yaml").unlink()
        assert run("run", *ENGINE, "--once")[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_daemon(specs, number):
    process = start("run", *ENGINE, "--log-format", "json")
    lines: list[str] = []

    def read() -> None:
        for line in process.stderr:
            lines.append(line)  # noqa: PERF402  (line by line, as they come)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        eventually(lambda: any("engine connected" in line for line in lines), "the engine")
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        reader.join(timeout=10)
    assert "Traceback" not in "".join(lines)


def test_second_daemon_on_the_folder_is_refused(specs):
    process = start("run", *ENGINE)
    try:
        eventually(lambda: is_locked(specs), "the lock")
        status, _, err = run("run", *ENGINE, "--once")
    finally:
        process.kill()
        process.communicate()

    assert status == 1
    assert "Another reconciler works on this folder already" in err


def test_missing_folder(home):
    status, _, err = run("run", "--once", "--specs", "nowhere", *ENGINE)

    assert status == 1
    assert "nowhere is not there" in err
    assert "Traceback" not in err


def is_locked(specs: Path) -> bool:
    """Whether a daemon holds the folder's lock."""
    return any(path.read_text() for path in specs.parent.glob("state/reconciler/locks/*.lock"))
