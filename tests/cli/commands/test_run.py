"""``run`` and ``diff`` as processes, on the engine that is always there."""

from __future__ import annotations

import copy
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.cli.samples import RUNTIME, trainjob, write


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "reconciler", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, **options)


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    try:
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    return process.returncode, out, err


def job(specs: Path, script: str, name: str = "demo", nodes: int = 2) -> None:
    trainer = {"numNodes": nodes, "image": "none", "command": ["python3", "-c", script]}
    write(specs / f"{name}.yaml", trainjob(name, runtime="plain", trainer=trainer))


ENGINE = ("--engine", "process")


def test_waiting_tells_each_change_of_phase_and_ends_with_success(specs):
    job(specs, "print('done')")

    status, out, err = run("run", *ENGINE, "--wait", "--log-format", "console")

    assert (status, out) == (0, ""), err
    phases = [line.split(":")[1].split()[0] for line in err.splitlines() if line.startswith("default/demo:")]
    assert phases[-1] == "Complete", err
    assert run("wait", "demo", "--timeout", "5")[0] == 0


def test_waiting_for_a_job_that_fails_ends_with_1(specs):
    runtime = copy.deepcopy(RUNTIME)
    runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["backoffLimit"] = 0
    write(specs / "runtime.yaml", runtime)
    trainer = {"numNodes": 1, "image": "none", "command": ["python3", "-c", "raise SystemExit(3)"]}
    write(specs / "demo.yaml", trainjob(trainer=trainer))

    status, _, err = run("run", *ENGINE, "--wait", "--log-format", "json")

    assert status == 1, err
    lines = [json.loads(line) for line in err.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    assert [line["phase"] for line in lines if line["event"] == "phase"][-1] == "Failed"
    status, _, err = run("wait", "demo", "--timeout", "5")
    assert status == 1
    assert "rank 0 (demo-node-0) exited with 3" in err


def test_jobs_of_a_folder_that_want_the_same_name_take_turns_and_say_so(specs):
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
        wait_for(lambda: "demo-x-node-0 exists" in said(specs, "demo"), seen=lambda: said(specs, "demo"))
        told = said(specs, "demo")
        (specs.parent / "flag").touch()
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()

    assert "belongs to another job of this folder, default/demo-x; it is left alone." in told
    assert "reconciler rm" not in told
    assert process.returncode == 0, err


def said(specs: Path, name: str) -> str:
    """The one line that the status of a job has."""
    path = specs / f"{name}.status.yaml"
    return str(yaml.safe_load(path.read_text())["status"].get("message")) if path.exists() else ""


def test_a_terminal_gets_a_table(specs):
    job(specs, "print('done')", nodes=1)
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
    assert b"started container" not in shown


def test_the_engine_is_asked_for_a_log_that_nobody_kept(specs):
    job(specs, "import time; print('here I am', flush=True); time.sleep(60)", nodes=1)
    process = start("run", *ENGINE)
    try:
        assert run("wait", "demo", "--for", "Running", "--timeout", "60")[0] == 0
        wait_for(lambda: run("logs", "demo")[1] == "here I am\n")
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
def test_a_daemon_ends_well_when_told_to(specs, number):
    process = start("run", *ENGINE, "--log-format", "json")
    lines: list[str] = []

    def read() -> None:
        for line in process.stderr:
            lines.append(line)  # noqa: PERF402  (line by line, as they come)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        wait_for(lambda: any("using container engine" in line for line in lines), seen=lambda: lines)
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        reader.join(timeout=10)
    assert "Traceback" not in "".join(lines)


def test_a_second_daemon_on_the_folder_is_refused(specs):
    process = start("run", *ENGINE)
    try:
        wait_for(lambda: locked(specs))
        status, _, err = run("run", *ENGINE, "--once")
    finally:
        process.kill()
        process.communicate()

    assert status == 1
    assert "Another reconciler works on this folder already" in err


def test_diff_says_what_would_be_done_and_then_nothing(specs):
    job(specs, "print('done')")

    status, out, _ = run("diff", *ENGINE)
    assert status == 1
    assert "+ container demo-node-0 (default/demo)" in out
    assert json.loads(run("diff", *ENGINE, "-o", "json")[1])["changes"][0]["job"] == "default/demo"

    assert run("run", *ENGINE, "--wait")[0] == 0
    assert run("diff", *ENGINE)[:2] == (0, "")

    # The sidecar is enough for `run` to know that it has ended; so it is for `diff`.
    shutil.rmtree(specs.parent / "state" / "reconciler" / "records")
    assert run("diff", *ENGINE)[:2] == (0, "")


def test_diff_tells_what_would_be_refused_left_alone_or_cleared_up(specs):
    # None of them ends by itself while the test goes on, however slow the machine is.
    script = "import time; time.sleep(600); print({})"
    job(specs, script.format(1), nodes=1)
    job(specs, script.format(1), name="gone", nodes=1)
    assert run("run", *ENGINE, "--once")[0] == 0
    try:
        job(specs, script.format(2), nodes=1)
        (specs / "gone.yaml").unlink()
        shutil.rmtree(specs.parent / "state" / "reconciler" / "records")
        (specs / "gone.status.yaml").unlink()
        other = trainjob("elsewhere", runtime="plain")
        write(
            specs / "elsewhere.yaml",
            {**other, "spec": {**other["spec"], "managedBy": "kueue.x-k8s.io/multikueue"}},
        )

        _, out, _ = run("diff", *ENGINE)
        assert "- container gone-node-0 (default/gone): its manifest was removed" in out
        assert "elsewhere" not in out

        assert run("run", *ENGINE, "--once")[0] == 0
        job(specs, script.format(3), nodes=1)
        (specs / "half.yaml").write_text("spec: [\n")
        status, out, _ = run("diff", *ENGINE)
        assert status == 1
        assert "! refuse job demo (default/demo): The change was refused" in out
        assert f"! refuse manifest {specs.absolute() / 'half.yaml'}: " in out
        assert "container" not in out, out
    finally:
        (specs / "half.yaml").unlink(missing_ok=True)
        (specs / "demo.yaml").unlink()
        assert run("run", *ENGINE, "--once")[0] == 0


def test_a_folder_that_is_not_there_is_said(home):
    status, _, err = run("run", "--once", "--specs", "nowhere", *ENGINE)

    assert status == 1
    assert "nowhere is not there" in err
    assert "Traceback" not in err


def locked(specs: Path) -> bool:
    """Whether a daemon has said that it works on the folder."""
    return any(path.read_text() for path in specs.parent.glob("state/reconciler/locks/*.lock"))


def wait_for(condition, seconds: float = 60, *, seen=None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in time: {seen() if seen else None}"
        threading.Event().wait(0.02)
