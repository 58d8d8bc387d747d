"""A container's state as its files and processes have it, and stopping it.

What can go wrong: a supervisor that was killed leaves ``run.json`` and no ``exit.json``. The next observer
kills what it left, and writes an exit without a code: unknown, and never taken for success.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path
from typing import Any, Final

from reconciler.engines.process import state_checks
from reconciler.engines.process.supervisor import event_pipes, json_files, process_identity
from reconciler.engines.protocol import ContainerState, ContainerStateName, ExitFacts

Json = dict[str, Any]

_UNKNOWN_EXIT: Final = (
    "The supervisor of this container was killed, or the machine restarted: how it ended is unknown."
)


def observe(home: Path, spec: Json, *, listeners: Path) -> ContainerState:
    """Returns the present state of a container."""
    ended, run = _read_records(home)
    state: ContainerStateName = "created"
    if ended is None and run is not None:
        if _is_supervised(run):
            if run["main"]:
                state = "paused" if process_identity.is_stopped(run["main"]) else "running"
        else:
            ended, run = _record_unknown_exit(home, spec, listeners=listeners)
    if ended is not None:
        state = "exited"
    return ContainerState(
        id=spec["id"],
        name=spec["name"],
        labels=spec["labels"],
        state=state,
        exit=_exit_facts(ended) if ended is not None else None,
        address=spec["address"],
        created_at=spec["created_at"],
        started_at=run.get("started_at") if run is not None else None,
    )


def _read_records(home: Path) -> tuple[Json | None, Json | None]:
    path = home / json_files.RUN
    return _read_exit(home), state_checks.check_run(json_files.read(str(path)), path)


def _read_exit(home: Path) -> Json | None:
    path = home / json_files.EXIT
    return state_checks.check_exit(json_files.read(str(path)), path)


def _is_supervised(run: Json) -> bool:
    return process_identity.is_alive(run["supervisor"], run["supervisor_identity"])


def _exit_facts(ended: Json) -> ExitFacts:
    return ExitFacts(
        code=ended["code"],
        oom_killed=bool(ended.get("oom_killed")),
        finished_at=ended["finished_at"],
        error=ended.get("error") or "",
    )


def _record_unknown_exit(home: Path, spec: Json, *, listeners: Path) -> tuple[Json | None, Json | None]:
    """Returns the records once the supervisor has ended: it may have written its last just before."""
    ended, run = _read_records(home)
    if ended is not None or run is None or _is_supervised(run):
        return ended, run
    kill_leftovers(run, spec["id"])
    ended = {"code": None, "finished_at": time.time(), "error": _UNKNOWN_EXIT}
    with contextlib.suppress(
        FileExistsError, FileNotFoundError
    ):  # another thread was first; or it is removed
        json_files.write(str(home / json_files.EXIT), ended, exclusive=True)
        event_pipes.publish(
            str(listeners), kind="container", action="die", name=spec["name"], labels=spec["labels"]
        )
    return _read_exit(home) or ended, run


def kill_leftovers(run: Json | None, container_id: str) -> None:
    """Kills what a container without supervisor left running, in any process group."""
    if run is not None and process_identity.is_alive(run["main"], run.get("main_identity") or ""):
        process_identity.signal_group(run["main"], signal.SIGKILL)
    for pid in process_identity.find_marked(container_id):
        process_identity.signal_process(pid, signal.SIGKILL)


def find_run(home: Path) -> Json | None:
    """Returns the run record of a container whose command runs; None otherwise."""
    ended, run = _read_records(home)
    return run if ended is None and run is not None and run["main"] and _is_supervised(run) else None


def send_signal(run: Json, number: int) -> None:
    """Signals all processes of a container; one that has ended is not an error."""
    if process_identity.is_alive(run["main"], run.get("main_identity") or ""):
        process_identity.signal_group(run["main"], number)


def stop(home: Path, spec: Json, *, grace: float, kill_timeout: float) -> bool:
    """Sends TERM to the group, KILL after ``grace`` seconds (at once when 0).

    Returns:
        False if the container outlived the KILL for ``kill_timeout`` seconds.
    """
    run = find_run(home)
    if run is None:
        return True
    if grace > 0:
        send_signal(run, signal.SIGTERM)
        send_signal(run, signal.SIGCONT)  # a paused one must receive it too
        if _wait_for_exit(home, run, grace):
            return True
    send_signal(run, signal.SIGKILL)
    if _wait_for_exit(home, run, kill_timeout):
        return True
    # The supervisor itself hangs (stopped by hand): kill it, the kernel kills its command with it.
    if _is_supervised(run):
        process_identity.signal_process(run["supervisor"], signal.SIGKILL)
    kill_leftovers(run, spec["id"])
    return _wait_for_exit(home, run, 1.0)


def _wait_for_exit(home: Path, run: Json, timeout: float) -> bool:
    """Waits until the supervisor has written the exit and ended; False after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    with contextlib.suppress(OSError, AttributeError):  # it has ended; or a system without pidfd: poll
        fd = os.pidfd_open(run["supervisor"])
        try:
            if _is_supervised(run):
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(max(0.0, timeout) * 1000)
        finally:
            os.close(fd)
    while (home / json_files.RUN).exists() and _is_supervised(run):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True
