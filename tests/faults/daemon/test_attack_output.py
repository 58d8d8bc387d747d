"""Whatever becomes of the daemon's own output, it goes on: closed streams, a reader who does not read."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading

from tests.support.manifests import runtime, shell
from tests.support.workspaces import PYTHON, Workspace, unique

IMAGE = "localhost/reconciler-test:base"
RUN = (PYTHON, "-m", "reconciler", "run", "--log-level", "debug")
#: fcntl's number for the size of a pipe (Linux), which Python 3.11 names.
SMALLEST_PIPE = 4096


def _completes(workspace: Workspace, job: str) -> None:
    workspace.write(f"{job}.yaml", shell(job, "plain", "echo fine"))
    workspace.until_phase(job, "Complete", seconds=120)


def _ends(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    return process.wait(timeout=60)


def test_daemon_without_standard_streams_runs_jobs(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", IMAGE))
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *RUN], env=processes.environment, cwd=processes.root
    )
    try:
        _completes(processes, unique("closed"))

        assert _ends(process) == 0
    finally:
        process.kill()
        process.wait()


def test_command_without_standard_streams_succeeds(processes: Workspace) -> None:
    command = [PYTHON, "-m", "reconciler", "get", "jobs"]

    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command],
        env=processes.environment,
        cwd=processes.root,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0


def test_reader_who_does_not_read_holds_nothing_up(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", IMAGE))
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    process = subprocess.Popen(
        RUN, env=processes.environment, cwd=processes.root, stderr=writing, stdout=writing
    )
    os.close(writing)
    try:
        for _ in range(3):
            _completes(processes, unique("unread"))

        # Read again, it says what is missing.
        said = bytearray()
        reader = threading.Thread(target=_read_all, args=(reading, said))
        reader.start()
        _completes(processes, unique("read"))

        assert _ends(process) == 0
    finally:
        process.kill()
        process.wait()
    reader.join(timeout=60)
    os.close(reading)
    assert b"lines of the log are missing" in said


def _read_all(descriptor: int, said: bytearray) -> None:
    while data := os.read(descriptor, 65536):
        said.extend(data)
