"""What Podman and Docker do alike: their HTTP APIs name the same calls on containers.

Each engine's own module has what differs: listing, networks, volumes, creating, images.
"""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event, Lock
from typing import Any, ClassVar, Final

from reconciler.common.liveness import allow
from reconciler.engines.host import cdi, subnets, subpath_folders
from reconciler.engines.host.kernel_log import KernelLog
from reconciler.engines.http import error_mapping
from reconciler.engines.http.container_facts import (
    Remembered,
    action_name,
    event_labels,
    exit_facts,
    has_labels,
    label_filter,
    parse_time,
)
from reconciler.engines.http.error_mapping import Refused
from reconciler.engines.http.exec_output import collect
from reconciler.engines.http.http_api import CALL_SECONDS, HttpApi
from reconciler.engines.http.streams import Events, Framed, Logs, RawStream, StartSignals
from reconciler.engines.protocol import ContainerState, EngineEvent, EventStream, ExitFacts, LogStream
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import Conflict, EngineError, NotFound

#: Seconds for an engine under load to create, start or remove a container.
WORK_SECONDS: Final = 180.0

#: Without a byte from the registry for so long, a pull is given up.
PULL_SECONDS: Final = 600.0


#: Exit status of a process ended by SIGKILL, the kernel's way to end one for memory.
_KILLED: Final = 137
_HOST_DOWN: Final = "it ended with its host, which went down or was restarted"

#: Podman fails as a whole when a process ends in the middle of its look at it.
_RACES: Final = ("no such process",)
_ATTEMPTS: Final = 5
#: How long the inventory of devices is believed: `nvidia-smi` may take a second.
_INVENTORY_SECONDS: Final = 30.0

#: Between attempts to remove a container that is just ending, in seconds.
_PAUSE: Final = 0.2


class HttpEngine(ABC):
    """The calls that are the same (see :class:`~reconciler.engines.protocol.Engine` for what each promises)."""

    #: The query of a stop that says how long to wait for the end.
    _grace_parameter = "timeout"
    #: The first version that mounts a part of a volume itself.
    _parts_since: ClassVar[str]
    #: Further query of a removal.
    _removal: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, api: HttpApi, *, subnet_pool: Sequence[str]) -> None:
        self.url = api.url
        self._http = api
        self._pool = tuple(subnet_pool)
        self._exits: Remembered[ExitFacts] = Remembered()
        self._signals = StartSignals()
        self._kernel = KernelLog()
        self._lock = Lock()
        self._inventory: tuple[float, Mapping[str, tuple[str, ...]]] | None = None

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers that carry all the labels, in one call; what a listing lacks is asked for once."""
        listed = self._look(
            "/containers/json", "list containers", {"all": "true", "filters": label_filter(labels)}
        )
        states = []
        for item in listed or ():
            if not has_labels(item.get("Labels"), labels):
                continue
            try:
                states.append(self._listed(item))
            except NotFound:
                continue  # removed between the listing and the look at it
        return states

    @abstractmethod
    def _listed(self, item: Mapping[str, Any]) -> ContainerState:
        """A container of a listing.

        Raises:
            NotFound: it has been removed meanwhile.
        """

    @abstractmethod
    def _volume(self, name: str) -> Mapping[str, Any]:
        """A volume by name.

        Raises:
            NotFound: there is none.
        """

    @abstractmethod
    def _mounts_parts(self) -> bool:
        """Whether this version mounts a part of a volume itself."""

    def bound_folder(self, mount: Mount) -> str | None:
        """Before the engine could mount a part of a volume itself."""
        if mount.kind != "volume" or not mount.sub_path or self._mounts_parts():
            return None
        return subpath_folders.folder_of(self._volume(mount.source))

    def _usable(self, mount: Mount) -> Mount:
        """The mount as this version can do it; volumes are checked: engines would make a missing one."""
        if mount.kind != "volume":
            return mount
        volume = self._volume(mount.source)
        return subpath_folders.usable(mount, volume, parts=self._mounts_parts(), since=self._parts_since)

    @abstractmethod
    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id, with exit facts and address."""

    def _get(self, kind: str, name: str, path: str) -> Any:
        """Inspect the thing of this kind and name.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._look(path, f"inspect the {kind} {name}")
        except Refused as refused:
            if error_mapping.is_gone(refused):
                raise error_mapping.missing(kind, name, refused) from refused
            raise

    def _look(self, path: str, what: str, params: Mapping[str, Any] | None = None) -> Any:
        """A GET, done again when it met a process that was just ending."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._http.call("GET", path, what, params=params)
            except Refused as refused:
                if attempt == _ATTEMPTS - 1 or not any(race in refused.detail for race in _RACES):
                    raise
        raise AssertionError  # the last attempt returns or raises

    def _exit_facts(self, found: Mapping[str, Any]) -> ExitFacts:
        """Exit facts from a whole inspect; of a kill, the kernel is asked where the engine saw no reason."""
        state = found.get("State") or {}
        facts = exit_facts(state)
        if facts.finished_at is None:
            # It never ended for the engine: the host went down under it.
            return replace(facts, code=None, error=facts.error or _HOST_DOWN)
        if facts.code != _KILLED or facts.oom_killed or not self.url.startswith("unix://"):
            return facts
        killed = self._kernel.killed(
            found["Id"],
            pid=self._first_process(found),
            started=parse_time(state.get("StartedAt")),
            finished=facts.finished_at,
        )
        return replace(facts, oom_killed=killed)

    @abstractmethod
    def _first_process(self, found: Mapping[str, Any]) -> int:
        """Number of an ended container's first process on the host; 0 when nobody knows."""

    def _inspect(self, container: str) -> Any:
        return self._get("container", container, f"/containers/{container}/json")

    def start_container(self, container: str) -> None:
        """Start a created container."""
        try:
            self._http.call(
                "POST",
                f"/containers/{container}/start",
                f"start the container {container}",
                seconds=WORK_SECONDS,
            )
        except Refused as refused:
            self._signals.forget(container)
            raise error_mapping.start_failure(refused, name=self._called(container)) from refused
        self._signals.notify(container)

    def _called(self, container: str) -> str:
        """The container's name, for a message."""
        try:
            return self.inspect_container(container).name
        except EngineError:
            return container

    def stop_container(self, container: str, grace: float) -> None:
        """TERM, then KILL after ``grace`` seconds; returns when it has ended. Gone or ended is no error."""
        # A paused process does not see the signal.
        self.unpause_container(container)
        seconds = math.ceil(grace)
        self._signal(container, "stop", {self._grace_parameter: seconds}, seconds=seconds + CALL_SECONDS)

    def kill_container(self, container: str, signal: str) -> None:
        """Send a signal (``SIGTERM``); gone or ended is no error."""
        self._signal(container, "kill", {"signal": signal})

    def unpause_container(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error."""
        self._signal(container, "unpause", {})

    def _signal(
        self, container: str, verb: str, params: Mapping[str, Any], *, seconds: float = CALL_SECONDS
    ) -> None:
        path = f"/containers/{container}/{verb}"
        try:
            self._http.call("POST", path, f"{verb} the container {container}", params=params, seconds=seconds)
        except Refused as refused:
            if not error_mapping.is_past(refused):
                raise

    def remove_container(self, container: str, *, force: bool = True) -> None:
        """Remove a container, its anonymous volumes too; one that is not there is no error.

        On Podman the containers that share its network go with it: it keeps none of them alone.
        """
        self._signals.forget(container)
        params = {"force": "true" if force else "false", "v": "true", **self._removal}
        try:
            self._remove("container", container, params)
        except Refused as refused:
            if error_mapping.is_in_use(refused):
                raise Conflict(f"The container {self._called(container)} is running.") from refused
            raise

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is not there is no error."""
        self._remove("network", name, {})

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is not there is no error."""
        self._remove("volume", name, {})

    def _remove(self, kind: str, name: str, params: Mapping[str, Any]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._delete(f"/{kind}s/{name}", f"remove the {kind} {name}", params)
            except Refused as refused:
                if error_mapping.is_removed(refused):
                    return
                if kind != "container" or attempt == _ATTEMPTS - 1 or not error_mapping.is_ending(refused):
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _delete(self, path: str, what: str, params: Mapping[str, Any]) -> None:
        """A DELETE; of several things Podman tells in the body of a success what went wrong with each."""
        answer = self._http.call("DELETE", path, what, params=params, seconds=WORK_SECONDS)
        for report in answer if isinstance(answer, list) else ():
            if error := report.get("Err"):
                refused = Refused(self._http.engine, what, status=0, detail=str(error))
                if not error_mapping.is_removed(refused):
                    raise refused

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Run a command inside; returns exit status and output (at most 64 KiB)."""
        what = f"run {command[0]} in the container {container}"
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        try:
            made = self._http.call("POST", f"/containers/{container}/exec", what, body=body)
        except Refused as refused:
            if error_mapping.is_gone(refused):
                raise error_mapping.missing("container", container, refused) from refused
            raise
        stream = self._http.stream(
            "POST",
            f"/exec/{made['Id']}/start",
            what,
            body={"Detach": False, "Tty": False},
            seconds=timeout + CALL_SECONDS,
        )
        with allow(timeout, what):
            output = collect(stream, what=what, timeout=timeout)
        code = self._http.call("GET", f"/exec/{made['Id']}/json", what)["ExitCode"]
        if not isinstance(code, int):
            raise EngineError(f"{self._http.engine} does not know how it ended to {what}.")
        return code, output

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """The container's output from its beginning (or the last ``tail`` lines)."""
        found = self._made(container) if follow else None
        found = found or self.inspect_container(container)

        def started(closed: Event) -> None:
            if follow and found.state == "created":
                self._signals.wait((found.id, found.name), lambda: self._is_created(found.id), closed)

        return Logs(started=started, open_source=lambda: self._open_logs(found, follow=follow, tail=tail))

    def _made(self, container: str) -> ContainerState | None:
        """The state of what was made here and is not started: asking in the middle of a start holds it up."""
        name = self._signals.made_here(container)
        if name is None:
            return None
        return ContainerState(id=container, name=name, labels={}, image="", state="created")

    def _is_created(self, container: str) -> bool:
        return self.inspect_container(container).state == "created"

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        return Framed(self._read_logs(container, follow=follow, tail=tail), tty=False)

    def _read_logs(
        self,
        container: ContainerState,
        *,
        follow: bool,
        tail: int | None,
        further: Mapping[str, str] | None = None,
    ) -> RawStream:
        params = {"stdout": "true", "stderr": "true", "follow": "true" if follow else "false"}
        if tail is not None:
            params["tail"] = str(tail)
        path, what = f"/containers/{container.id}/logs", f"read the output of {container.name}"
        try:
            return self._http.stream("GET", path, what, params=params | dict(further or {}))
        except Refused as refused:
            if error_mapping.is_gone(refused):
                raise error_mapping.missing("container", container.name, refused) from refused
            raise

    def _has_image(self, image: str, path: str) -> bool:
        try:
            self._http.call("GET", path, f"look for the image {image}")
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def _image_config(self, image: str, path: str) -> Mapping[str, Any] | None:
        """What an image says of its containers; None where it is not there."""
        try:
            found = self._http.call("GET", path, f"look at the image {image}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return found.get("Config") or {}

    def events(self) -> EventStream:
        """Follow events of containers and networks from now on; ends when the connection breaks."""
        filters = json.dumps({"type": ["container", "network"]})
        params = {"stream": "true", "filters": filters}
        return Events(self._http.stream("GET", "/events", "tell of events", params=params), self._event)

    def _event(self, item: Mapping[str, Any]) -> EngineEvent | None:
        """An event off the stream; None for one that nobody asked for."""
        return _event(item)

    def limitations(self, spec: ContainerSpec) -> tuple[str, ...]:  # noqa: ARG002  (the Protocol's)
        """None: what a container engine makes is checked by inspect."""
        return ()

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Device classes the host offers by name (CDI's inventory, and GPUs no specification describes)."""
        with self._lock:
            if self._inventory is None or time.monotonic() - self._inventory[0] > _INVENTORY_SECONDS:
                self._inventory = (time.monotonic(), cdi.host_devices())
            return self._inventory[1]

    def _subnets(self, name: str, addresses: int) -> list[str]:
        """A few free subnets to try for a network, the best first.

        Raises:
            EngineError: none is free, or none is large enough.
        """
        found = subnets.some(name, addresses=addresses, pool=self._pool, avoid=subnets.host_routes())
        if not found:
            raise subnets.exhausted(name, self._pool)
        return found

    def close(self) -> None:
        """Release connections."""
        self._http.close()
        self._kernel.close()


def _event(item: Mapping[str, Any]) -> EngineEvent | None:
    kind = item.get("Type")
    actor = item.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    if kind not in {"container", "network"}:
        return None
    return EngineEvent(
        kind=str(kind),
        action=action_name(str(item.get("Action") or item.get("status") or "")),
        name=str(attributes.get("name") or actor.get("ID") or ""),
        labels=event_labels(attributes),
    )
