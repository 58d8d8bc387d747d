"""What a container's files and processes say about it, and bringing it to an end.

What can go wrong: a supervisor that was killed leaves ``run.json`` and no ``exit.json``. Whoever looks
next ends what it left, and writes an exit without a code: unknown, and never taken for success.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path
from typing import Any, Final

from reconciler.engines.process.supervisor import json_files, process_identity
from reconciler.engines.process.supervisor.event_pipes import announce
from reconciler.engines.protocol import ContainerState, ContainerStateName, ExitFacts

Json = dict[str, Any]

_UNKNOWN: Final = (
    "The supervisor of this container was killed, or the machine restarted: how it ended is unknown."
)


def observe(home: Path, spec: Json, *, listeners: Path) -> ContainerState:
    """The state of a container, as its files and processes have it now."""
    ended, run = _records(home)
    state: ContainerStateName = "created"
    if ended is None and run is not None:
        if process_identity.alive(run["supervisor"], run["supervisor_identity"]):
            if run["main"]:
                state = "paused" if process_identity.stopped(run["main"]) else "running"
        else:
            ended, run = _settled(home, spec, listeners=listeners)
    if ended is not None:
        state = "exited"
    return ContainerState(
        id=spec["id"],
        name=spec["name"],
        labels=spec["labels"],
        image=spec["image"],
        state=state,
        exit=_facts(ended) if ended is not None else None,
        address=spec["address"],
        created_at=spec["created_at"],
        started_at=run.get("started_at") if run is not None else None,
    )


def _records(home: Path) -> tuple[Json | None, Json | None]:
    return json_files.read(str(home / json_files.EXIT)), json_files.read(str(home / json_files.RUN))


def _facts(ended: Json) -> ExitFacts:
    return ExitFacts(
        code=ended["code"],
        oom_killed=ended.get("oom_killed", False),
        finished_at=ended["finished_at"],
        error=ended.get("error", ""),
    )


def _settled(home: Path, spec: Json, *, listeners: Path) -> tuple[Json | None, Json | None]:
    """The records once the supervisor is known to be gone: it may have written its last just before."""
    ended, run = _records(home)
    if (
        ended is not None
        or run is None
        or process_identity.alive(run["supervisor"], run["supervisor_identity"])
    ):
        return ended, run
    kill_leftovers(run, spec["id"])
    ended = {"code": None, "finished_at": time.time(), "error": _UNKNOWN}
    with contextlib.suppress(FileExistsError, FileNotFoundError):  # another thread was first; or it is gone
        json_files.write(str(home / json_files.EXIT), ended, exclusive=True)
        announce(str(listeners), kind="container", action="die", name=spec["name"], labels=spec["labels"])
    return json_files.read(str(home / json_files.EXIT)) or ended, run


def kill_leftovers(run: Json | None, container_id: str) -> None:
    """Kill what a container without supervisor left running, wherever it went."""
    if run is not None and process_identity.alive(run["main"], run.get("main_identity", "")):
        process_identity.send_group(run["main"], signal.SIGKILL)
    for pid in process_identity.marked(container_id):
        process_identity.send(pid, signal.SIGKILL)


def running(home: Path) -> Json | None:
    """The run record of a container whose command runs; None otherwise."""
    ended, run = _records(home)
    if ended is not None or run is None or not run["main"]:
        return None
    return run if process_identity.alive(run["supervisor"], run["supervisor_identity"]) else None


def send(run: Json, number: int, *, group: bool) -> None:
    """Signal a running container's command, or its whole group; one that has ended is no error."""
    if process_identity.alive(run["main"], run["main_identity"]):
        (process_identity.send_group if group else process_identity.send)(run["main"], number)


def wait_for_end(home: Path, run: Json, timeout: float) -> bool:
    """Wait until the supervisor has written the end and gone; False when ``timeout`` seconds passed."""
    deadline = time.monotonic() + timeout
    with contextlib.suppress(OSError, AttributeError):  # gone already; or a system without pidfd: poll
        fd = os.pidfd_open(run["supervisor"])
        try:
            if process_identity.alive(run["supervisor"], run["supervisor_identity"]):
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(max(0.0, timeout) * 1000)
        finally:
            os.close(fd)
    while (home / json_files.RUN).exists() and process_identity.alive(
        run["supervisor"], run["supervisor_identity"]
    ):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def end(home: Path, spec: Json, *, grace: float, patience: float) -> bool:
    """TERM to the group, KILL after ``grace`` seconds (at once when 0).

    Returns:
        False if it outlived ``patience`` seconds more.
    """
    run = running(home)
    if run is None:
        return True
    if grace > 0:
        send(run, signal.SIGTERM, group=True)
        send(run, signal.SIGCONT, group=True)  # a paused one is to hear it too
        if wait_for_end(home, run, grace):
            return True
    send(run, signal.SIGKILL, group=True)
    if wait_for_end(home, run, patience):
        return True
    # The supervisor itself hangs (stopped by hand): end it, its command ends with it.
    if process_identity.alive(run["supervisor"], run["supervisor_identity"]):
        process_identity.send(run["supervisor"], signal.SIGKILL)
    kill_leftovers(run, spec["id"])
    return wait_for_end(home, run, 1.0)
