"""Starts, stops, resumes and removes containers.

Each call takes the container's lock where it must not run beside another, of this daemon or the next: a
container that is being started is not removed, and none is started twice.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Final

from reconciler.common.liveness import allow_time
from reconciler.engines.process import process_status, supervisor_launch
from reconciler.engines.process.state_folder import StateFolder
from reconciler.engines.process.supervisor import cgroup_limits, json_files, process_identity
from reconciler.engines.protocol import ContainerState
from reconciler.errors import Busy, Conflict, EngineError, NotFound, StartFailed

Json = dict[str, Any]

#: Seconds for killed processes to end.
_KILL_TIMEOUT: Final = 15.0


class ContainerLifecycle:
    """The containers of one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    def find(self, container: str) -> tuple[Path, Json]:
        """Returns a container's folder and specification, by name or id.

        Raises:
            NotFound: there is none.
        """
        found = self._state.find_container(container)
        if found is None:
            raise NotFound(f"There is no container {container}.")
        return found

    def observe(self, home: Path, spec: Json) -> ContainerState | None:
        """Returns the container's state; None if it was removed meanwhile."""
        state = process_status.observe(home, spec, listeners=self._state.listeners)
        return state if self._is_current(home, spec) else None

    def inspect(self, container: str) -> ContainerState:
        """Returns a container's state, by name or id.

        Raises:
            NotFound: there is none.
        """
        state = self.observe(*self.find(container))
        if state is None:
            raise NotFound(f"There is no container {container}.")
        return state

    def _is_current(self, home: Path, spec: Json) -> bool:
        """Whether the folder still belongs to that container, and not to another of the same name."""
        now = self._state.load_spec(home)
        return now is not None and now["id"] == spec["id"]

    def start(self, container: str) -> None:
        """Starts the command under a supervisor of its own; a running one is not an error.

        Raises:
            StartFailed: no such command or folder; it is left as created.
            Busy: the address is in use; likewise.
            NotFound: it was removed.
        """
        home, spec = self.find(container)
        try:
            with self._state.locked(home):
                answer = self._start(home, spec)
        except FileNotFoundError:
            raise NotFound(f"{spec['name']} has been removed.") from None
        if "error" in answer:
            raise StartFailed(
                f"{spec['name']} could not be started: {answer['error']}", remedy=answer.get("remedy", "")
            )

    def _start(self, home: Path, spec: Json) -> Json:
        """Returns the supervisor's answer, empty where it runs already; under the container's lock."""
        if not self._is_current(home, spec):
            raise NotFound(f"{spec['name']} has been removed.")
        if process_status.find_run(home) is not None:
            return {}
        self._check_address(spec)
        if self.inspect(spec["id"]).state == "exited":
            json_files.remove(str(home / json_files.RUN))
            json_files.remove(str(home / json_files.EXIT))
        return supervisor_launch.start(home)

    def _check_address(self, spec: Json) -> None:
        if not spec["address"] or spec["shared"]:
            return

        def same_address(other: Json) -> bool:
            return (other["network"], other["address"]) == (spec["network"], spec["address"])

        for home, other in self._state.list_containers(same_address):
            same = same_address(other)
            if (
                same
                and not other["shared"]
                and other["id"] != spec["id"]
                and process_status.find_run(home) is not None
            ):
                raise Busy(f"The address {spec['address']} of {spec['name']} is in use by {other['name']}.")

    def stop(self, container: str, grace: float) -> None:
        """Sends TERM to all its processes, KILL after ``grace`` seconds; removed or exited is not an error.

        Raises:
            EngineError: it cannot be killed.
        """
        found = self._state.find_container(container)
        if found is None:
            return
        home, spec = found
        with allow_time(grace + _KILL_TIMEOUT, f"stopping {spec['name']}"):
            stopped = process_status.stop(home, spec, grace=grace, kill_timeout=_KILL_TIMEOUT)
        if not stopped:
            raise EngineError(f"{spec['name']} did not end when killed: a process hangs in the kernel.")
        self.observe(home, spec)  # writes the exit of one whose supervisor had to be killed

    def unpause(self, container: str) -> None:
        """Resumes a paused container; one that is not paused is not an error."""
        found = self._state.find_container(container)
        run = process_status.find_run(found[0]) if found else None
        if found is None or run is None:
            return
        paused = process_identity.is_stopped(run["main"])
        process_status.send_signal(run, signal.SIGCONT)
        if paused:
            self._state.publish("container", "unpause", found[1]["name"], found[1]["labels"])

    def remove(self, container: str, *, force: bool) -> None:
        """Removes it with its folder, log and working directory; a missing one is not an error.

        Raises:
            Conflict: it runs, and ``force`` is not set.
        """
        found = self._state.find_container(container)
        if found is None:
            return
        home, spec = found
        try:
            with self._state.locked(home):  # not while it is being started: its command would be left running
                if not self._is_current(home, spec):
                    return  # another caller was first
                if not force and process_status.find_run(home) is not None:
                    raise Conflict(f"The container {spec['name']} is running.")
                self.stop(spec["id"], 0)
                process_status.kill_leftovers(None, spec["id"])
                cgroup_limits.remove(spec["launch"]["groups"])
                self._state.remove_container(home)
        except FileNotFoundError:
            return  # another caller was first
        self._state.publish("container", "remove", spec["name"], spec["labels"])
