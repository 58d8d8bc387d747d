"""What happens to a container's processes: started, stopped, signalled, removed.

Each takes the container's lock where it must not meet another of these, from this daemon or the next: a
container that is being started is not removed, and none is started twice.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Final

from reconciler.common.liveness import allow
from reconciler.engines.process import process_status, supervisor_launch
from reconciler.engines.process.state_folder import Folders
from reconciler.engines.process.supervisor import cgroup_limits, json_files, process_identity
from reconciler.engines.protocol import ContainerState
from reconciler.errors import Conflict, EngineError, NotFound, StartFailed

Json = dict[str, Any]

#: Seconds that killed processes get to be gone.
_PATIENCE: Final = 15.0
#: Signals that a person means for everything in a container; others go to its command alone.
_FOR_ALL: Final = frozenset(
    {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT}
)


class Lives:
    """The lives of the containers in these folders."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    # Looking

    def find(self, container: str) -> tuple[Path, Json]:
        """A container's folder and specification, by name or id.

        Raises:
            NotFound: there is none.
        """
        found = self._folders.find(container)
        if found is None:
            raise NotFound(f"There is no container {container}.")
        return found

    def state(self, home: Path, spec: Json) -> ContainerState | None:
        """Its state; None if it was removed while being looked at."""
        state = process_status.observe(home, spec, listeners=self._folders.listeners)
        return state if self._is_still(home, spec) else None

    def inspect(self, container: str) -> ContainerState:
        """The state of one by name or id.

        Raises:
            NotFound: there is none.
        """
        state = self.state(*self.find(container))
        if state is None:
            raise NotFound(f"There is no container {container}.")
        return state

    def _is_still(self, home: Path, spec: Json) -> bool:
        """Whether the folder is that container's, and not of another under the same name."""
        now = self._folders.spec(home)
        return now is not None and now["id"] == spec["id"]

    # Starting

    def start(self, container: str) -> None:
        """Start the command under a supervisor of its own; one that runs is no error.

        Raises:
            StartFailed: no such command or folder, or the address is in use; it is left as created.
            NotFound: it is gone.
        """
        home, spec = self.find(container)
        try:
            with self._folders.locked(home):
                answer = self._start(home, spec)
        except FileNotFoundError:
            raise NotFound(f"{spec['name']} has been removed.") from None
        if "error" in answer:
            raise StartFailed(
                f"{spec['name']} could not be started: {answer['error']}", remedy=answer.get("remedy", "")
            )

    def _start(self, home: Path, spec: Json) -> Json:
        """The supervisor's answer; empty when it runs already. Under the container's lock."""
        if not self._is_still(home, spec):
            raise NotFound(f"{spec['name']} has been removed.")
        if process_status.running(home) is not None:
            return {}
        self._check_address(spec)
        if self.inspect(spec["id"]).state == "exited":
            json_files.remove(str(home / json_files.RUN))
            json_files.remove(str(home / json_files.EXIT))
        return supervisor_launch.start(home)

    def _check_address(self, spec: Json) -> None:
        if not spec["address"] or spec["shared"]:
            return
        for home, other in self._folders.all_containers():
            same = (other["network"], other["address"]) == (spec["network"], spec["address"])
            if (
                same
                and not other["shared"]
                and other["id"] != spec["id"]
                and process_status.running(home) is not None
            ):
                raise StartFailed(
                    f"The address {spec['address']} of {spec['name']} is in use by {other['name']}."
                )

    # Ending

    def end(self, container: str, grace: float) -> None:
        """TERM to all its processes, KILL after ``grace`` seconds; gone or ended is no error.

        Raises:
            EngineError: it cannot be killed.
        """
        found = self._folders.find(container)
        if found is None:
            return
        home, spec = found
        with allow(grace + _PATIENCE, f"stopping {spec['name']}"):
            ended = process_status.end(home, spec, grace=grace, patience=_PATIENCE)
        if not ended:
            raise EngineError(f"{spec['name']} did not end when killed: a process hangs in the kernel.")
        self.state(home, spec)  # writes the end of one whose supervisor had to be killed

    def send(self, container: str, signal: str) -> None:
        """Send a signal; those that end or stop go to all its processes.

        Raises:
            EngineError: there is no such signal.
        """
        try:
            number = process_identity.signal_number(signal)
        except ValueError:
            raise EngineError(f"There is no signal {signal!r}.") from None
        found = self._folders.find(container)
        run = process_status.running(found[0]) if found else None
        if run is not None:
            process_status.send(run, number, group=number in _FOR_ALL)

    def unpause(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error."""
        found = self._folders.find(container)
        run = process_status.running(found[0]) if found else None
        if found is None or run is None:
            return
        paused = process_identity.stopped(run["main"])
        process_status.send(run, signal.SIGCONT, group=True)
        if paused:
            self._folders.announce("container", "unpause", found[1]["name"], found[1]["labels"])

    # Removing

    def remove(self, container: str, *, force: bool) -> None:
        """Remove it with its folder, log and working directory; one that is not there is no error.

        Raises:
            Conflict: it runs, and is not to be ended by ``force``.
        """
        found = self._folders.find(container)
        if found is None:
            return
        home, spec = found
        try:
            with self._folders.locked(home):  # not while it is being started: its command would be lost
                if not self._is_still(home, spec):
                    return  # another remover was first
                if not force and process_status.running(home) is not None:
                    raise Conflict(f"The container {spec['name']} is running.")
                self.end(spec["id"], 0)
                process_status.kill_leftovers(None, spec["id"])
                cgroup_limits.remove(spec["launch"]["groups"])
                self._folders.drop_container(home)
        except FileNotFoundError:
            return  # likewise
        self._folders.announce("container", "remove", spec["name"], spec["labels"])
