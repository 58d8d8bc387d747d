"""The base class of Podman and Docker: a container's life, logs and events, which both HTTP APIs do alike.

Each engine's own module has what differs: container listings, networks, volumes, creating, images.
"""

from __future__ import annotations

import base64
import json
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import Event, Lock
from typing import ClassVar, Final, TypeVar

from reconciler.common.liveness import SLOW_AFTER, allow_time
from reconciler.engines.host import host_devices, sub_paths, subnet_pool
from reconciler.engines.host.followed_logs import require_room_to_follow
from reconciler.engines.host.oom_kills import KernelOomLog
from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.answer_shapes import Shape
from reconciler.engines.http.calls.object_answers import (
    EVENT,
    EXEC,
    EXEC_STATE,
    ContainerAnswer,
    CreatedAnswer,
    EventAnswer,
)
from reconciler.engines.http.container_json import parse_address, parse_exit, parse_state, parse_time
from reconciler.engines.http.container_verification import Difference, find_differences, raise_if_drifted
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.event_stream import parse_event
from reconciler.engines.http.exec.exec_output import HangingCommands, read_exec_output
from reconciler.engines.http.exec.exec_session import HttpExecSession
from reconciler.engines.http.http_api import CALL_SECONDS, HttpApi
from reconciler.engines.http.http_objects import WORK_SECONDS, HttpObjects, Json, has_labels
from reconciler.engines.http.inspect_cache import InspectCache
from reconciler.engines.http.log_streams import DeferredLogs, StartNotifier
from reconciler.engines.http.pull_progress import follow_pull
from reconciler.engines.http.response_streams import ItemStream, RawStream, iter_frames, iter_lines
from reconciler.engines.protocol import (
    ContainerState,
    ContainerStateName,
    EngineEvent,
    EventStream,
    ExitFacts,
    LogSource,
    LogStream,
    PullProgress,
    RegistryAuth,
)
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import Conflict, Drifted, EngineError, LogUnreadable
from reconciler.plan.pod.device_variables import list_hidden

#: Seconds without a byte from the registry after which a pull fails.
PULL_SECONDS: Final = 600.0

#: Exit status of a process ended by SIGKILL, the kernel's way to end one for memory.
_KILLED: Final = 137
_HOST_DOWN: Final = "it ended with its host, which went down or was restarted"

#: Seconds the list of devices is kept: `nvidia-smi` may take a second.
_DEVICES_SECONDS: Final = 30.0

T = TypeVar("T")


class HttpEngine(HttpObjects):
    """An engine behind an HTTP API; :class:`~reconciler.engines.protocol.Engine` documents the calls."""

    #: Query parameter of a stop with the seconds until KILL.
    _grace_parameter = "timeout"
    #: The first version that mounts a part of a volume (``sub_path``) itself.
    _sub_paths_since: ClassVar[str]
    #: Query parameters of a container's removal, besides ``force``: its anonymous volumes go with it.
    _remove_params: ClassVar[Json]

    def __init__(self, api: HttpApi, *, address_pool: Sequence[str] = ()) -> None:
        super().__init__(api)
        self._address_pool = tuple(address_pool) or subnet_pool.DEFAULT_SUBNET_POOL
        self._exit_cache: InspectCache[ExitFacts] = InspectCache()
        self._starts = StartNotifier()
        self._hanging = HangingCommands()
        self._oom_log = KernelOomLog()
        self._devices_lock = Lock()
        self._devices: tuple[float, Mapping[str, tuple[str, ...]]] | None = None

    def inspect_container(self, name: str) -> ContainerState:
        """Returns a container by name or id, with exit facts and address (Podman: while it runs)."""
        inspected = self._inspect(name)
        state_name = self._inspected_state(inspected)
        return ContainerState(
            id=inspected["Id"],
            name=inspected["Name"].removeprefix("/"),
            labels=inspected["Config"].get("Labels") or {},
            state=state_name,
            exit=self._exit_facts(inspected) if state_name == "exited" else None,
            address=parse_address(inspected),
            created_at=parse_time(inspected["Created"]),
            started_at=parse_time(inspected["State"]["StartedAt"]),
        )

    def _inspected_state(self, inspected: ContainerAnswer) -> ContainerStateName:
        state = inspected["State"]
        return self._state(state["Status"], parse_time(state["StartedAt"]))

    @staticmethod
    def _state(word: str, started: float | None) -> ContainerStateName:  # noqa: ARG004  (Podman's)
        """Returns the state for the engine's word and the time of the start."""
        return parse_state(word)

    def _exit_facts(self, inspected: ContainerAnswer) -> ExitFacts:
        """Returns the exit facts of an inspect; for a kill without a reason, the kernel's log is read."""
        state = inspected["State"]
        facts = parse_exit(state)
        if facts.finished_at is None:
            # It never ended for the engine: the host went down under it.
            return replace(facts, code=None, error=facts.error or _HOST_DOWN)
        if facts.code != _KILLED or facts.oom_killed or not self.url.startswith("unix://"):
            return facts
        oom_killed = self._oom_log.has_kill(
            inspected["Id"],
            pid=self._main_pid(inspected),
            started=parse_time(state["StartedAt"]),
            finished=facts.finished_at,
        )
        return replace(facts, oom_killed=oom_killed)

    @abstractmethod
    def _main_pid(self, inspected: ContainerAnswer) -> int:
        """Returns the pid on the host of an exited container's main process; 0 where unknown."""

    # --- creating

    def verify_container(self, container: str, spec: ContainerSpec) -> None:
        """Verifies a container whose create was not answered, as a create does."""
        inspected = self._inspect(container)
        raise_if_drifted(spec.name, [*self._differences(self._resolve_mounts(spec), inspected)])
        self._starts.add_created(container, spec.name)

    def _differences(self, spec: ContainerSpec, inspected: ContainerAnswer) -> Iterator[Difference]:
        """Yields what differs between a resolved specification and an inspect before the start."""
        return find_differences(spec, inspected)

    def _confirm_create(self, spec: ContainerSpec, created: CreatedAnswer) -> str:
        """Verifies a created container and returns its id.

        Raises:
            WrongAnswer: the id is another container's, which is left alone.
            Drifted: it is not as specified; it has been removed again.
        """
        container = created["Id"]
        inspected = self._inspect(container)
        name, labels = inspected["Name"].removeprefix("/"), inspected["Config"].get("Labels")
        self._check_created("container", spec.name, name, has_labels=has_labels(labels, spec.labels))
        try:
            raise_if_drifted(spec.name, [*self._differences(spec, inspected)], created.get("Warnings") or ())
        except Drifted:
            self.remove_container(container)
            raise
        self._starts.add_created(container, spec.name)
        return container

    def sub_path_root(self, mount: Mount) -> str | None:
        """Returns the volume's folder before the version that mounts a part of a volume itself."""
        if mount.kind != "volume" or not mount.sub_path or self._supports_sub_paths():
            return None
        return sub_paths.volume_folder(self._inspect_volume(mount.source))

    @abstractmethod
    def _supports_sub_paths(self) -> bool:
        """Reports whether this version mounts a part of a volume itself."""

    def _resolve_mounts(self, spec: ContainerSpec) -> ContainerSpec:
        """Returns the specification with mounts as this version can do them.

        Volumes are checked: engines would create a missing one.
        """
        return replace(spec, mounts=tuple(self._resolve_mount(mount) for mount in spec.mounts))

    def _resolve_mount(self, mount: Mount) -> Mount:
        if mount.kind != "volume":
            return mount
        volume = self._inspect_volume(mount.source)
        return sub_paths.resolve_mount(
            mount, volume, supported=self._supports_sub_paths(), since=self._sub_paths_since
        )

    def _free_subnets(self, network: str, addresses: int) -> list[str]:
        """Returns some free subnets to try for a network, the best first.

        Raises:
            EngineError: none is free, or none is large enough.
        """
        return subnet_pool.find_subnets(
            network, addresses=addresses, pool=self._address_pool, avoid=subnet_pool.host_routes()
        )

    # --- running

    def start_container(self, container: str) -> None:
        """Starts a created container."""
        path, action = f"/containers/{container}/start", f"start the container {container}"
        try:
            self._http.call("POST", path, action, seconds=WORK_SECONDS)
        except ApiError as error:
            self._starts.forget(container)
            raise error_mapping.start_error(error, name=self._name_of(container)) from error
        self._starts.notify_started(container)

    def _name_of(self, container: str) -> str:
        """Returns the container's name for a message; the id where it cannot be had."""
        try:
            return self.inspect_container(container).name
        except EngineError:
            return container

    def stop_container(self, container: str, grace: float) -> None:
        """Sends TERM, then KILL after ``grace`` seconds; returns when the container has exited."""
        # A paused process does not see the signal.
        self.unpause_container(container)
        seconds = math.ceil(grace)
        self._signal(container, "stop", {self._grace_parameter: seconds}, grace=seconds)

    def unpause_container(self, container: str) -> None:
        """Resumes a paused container; one that is not paused is no error."""
        self._signal(container, "unpause", {})

    def _signal(self, container: str, verb: str, params: Json, *, grace: float = 0.0) -> None:
        path, action = f"/containers/{container}/{verb}", f"{verb} the container {container}"
        seconds, slow_after = grace + CALL_SECONDS, grace + SLOW_AFTER
        try:
            self._http.call("POST", path, action, params=params, seconds=seconds, slow_after=slow_after)
        except ApiError as error:
            if not error_mapping.is_too_late(error):
                raise

    # --- removing

    def remove_container(self, container: str, *, force: bool = True) -> None:
        """Removes a container and its anonymous volumes; a missing one is no error.

        On Podman the containers that share its network go with it: it keeps none of them alone.
        """
        self._starts.forget(container)
        params = {"force": "true" if force else "false", **self._remove_params}
        try:
            self._remove("container", container, params)
        except ApiError as error:
            if error_mapping.is_in_use(error):
                raise Conflict(f"The container {self._name_of(container)} is running.") from error
            raise

    # --- exec, logs and events

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Runs a command in the container; returns exit status and output (at most 64 KiB)."""
        action = f"run {command[0]} in the container {container}"
        self._refuse_hanging(container, command, action)
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        with error_mapping.raising_not_found("container", container):
            created = self._http.call("POST", f"/containers/{container}/exec", action, expect=EXEC, body=body)
        stream = self._http.stream(
            "POST",
            f"/exec/{created['Id']}/start",
            action,
            body={"Detach": False, "Tty": False},
            seconds=timeout + CALL_SECONDS,
        )
        try:
            with allow_time(timeout, action):
                output = read_exec_output(stream, action=action, timeout=timeout)
        except EngineError:
            self._hanging.add(container, command, created["Id"])
            raise
        path = f"/exec/{created['Id']}/json"
        code = self._http.call("GET", path, action, expect=EXEC_STATE)["ExitCode"]
        if code is None:
            raise EngineError(
                f"{self._http.engine} does not know the exit status of {command[0]} in {container}."
            )
        return code, output

    def _refuse_hanging(self, container: str, command: tuple[str, ...], action: str) -> None:
        """Raises an EngineError where the command has not ended since it ran out of time."""
        identifier = self._hanging.find(container, command)
        if not identifier:
            return
        try:
            running = self._http.call("GET", f"/exec/{identifier}/json", action, expect=EXEC_STATE)["Running"]
        except ApiError as error:
            if error.status != 404:
                raise
            running = False
        if running:
            raise EngineError(f"{command[0]} still runs in {container} since it ran out of time before.")
        self._hanging.remove(container, command)

    def exec_session(
        self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool
    ) -> HttpExecSession:
        """Runs a command in the container, with input and output."""
        action = f"run {command[0]} in the container {container}"
        attached = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Tty": tty}
        body = {**attached, "Cmd": list(command)}
        with error_mapping.raising_not_found("container", container):
            created = self._http.call("POST", f"/containers/{container}/exec", action, expect=EXEC, body=body)
        path = f"/exec/{created['Id']}"
        stream = self._http.stream(
            "POST",
            f"{path}/start",
            action,
            body={"Detach": False, "Tty": tty},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
        )

        def find_exit_code() -> int:
            code = self._http.call("GET", f"{path}/json", action, expect=EXEC_STATE)["ExitCode"]
            if code is None:
                raise EngineError(f"{self._http.engine} does not know the exit status of {command[0]}.")
            return code

        def resize(columns: int, lines: int) -> None:
            self._http.call("POST", f"{path}/resize", action, params={"h": lines, "w": columns})

        return HttpExecSession(stream, tty=tty, find_exit_code=find_exit_code, resize_terminal=resize)

    def dated_logs(self, container: str, *, since: float | None, follow: bool, tail: int | None) -> LogStream:
        """Returns the output with the time of each line before it."""
        state = self.inspect_container(container)
        tty = bool((self._inspect(state.id).get("Config") or {}).get("Tty"))
        params = {"timestamps": "true"}
        if since is not None:
            params["since"] = str(int(since))
        stream = self._read_logs(state, follow=follow, tail=tail, params=params)
        return ItemStream(stream, partial(iter_frames, tty=tty))

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """Returns the container's output from its beginning (or the last ``tail`` lines)."""
        if follow:
            require_room_to_follow()
        found = self._created_here(container) if follow else None
        state = found or self.inspect_container(container)

        def wait_for_start(closed: Event) -> None:
            if follow and state.state == "created":
                self._starts.wait((state.id, state.name), lambda: self._is_created(state.id), closed)

        return DeferredLogs(
            wait_for_start=wait_for_start,
            open_logs=lambda: self._open_logs(state, follow=follow, tail=tail),
        )

    def _created_here(self, container: str) -> ContainerState | None:
        """Returns the state of a container created and not started here: an inspect would hold up a start."""
        name = self._starts.created_name(container)
        if name is None:
            return None
        return ContainerState(id=container, name=name, labels={}, state="created")

    def _is_created(self, container: str) -> bool:
        return self.inspect_container(container).state == "created"

    def open_log(self, container: str, *, follow: bool) -> LogSource:
        """Opens the output of a container that has been started, from its beginning."""
        if follow:
            require_room_to_follow()
        inspected = self._inspect(container)
        if self._inspected_state(inspected) == "created":
            raise EngineError(f"The container {container} has not been started.")
        return self._open_log(inspected, follow=follow)

    @abstractmethod
    def _open_log(self, inspected: Json, *, follow: bool) -> LogSource:
        """Opens the output of an inspected container."""

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        return ItemStream(self._read_logs(container, follow=follow, tail=tail), iter_frames)

    def _read_logs(
        self, container: ContainerState, *, follow: bool, tail: int | None, params: Json | None = None
    ) -> RawStream:
        query = dict(params or {}) | ({"tail": str(tail)} if tail is not None else {})
        return self._stream_logs(container.id, container.name, follow=follow, params=query)

    def _stream_logs(
        self, container: str, name: str, *, follow: bool, params: Json, seconds: float | None = None
    ) -> RawStream:
        """Opens the output; ``seconds`` without a byte of the response end it."""
        query = {"stdout": "true", "stderr": "true", "follow": "true" if follow else "false", **params}
        path, action = f"/containers/{container}/logs", f"read the output of {name}"
        try:
            with error_mapping.raising_not_found("container", name):
                return self._http.stream("GET", path, action, params=query, seconds=seconds)
        except ApiError as error:
            if error_mapping.is_log_unreadable(error):
                raise LogUnreadable(str(error)) from error
            raise

    def events(self) -> EventStream:
        """Follows events of containers and networks from now on; ends when the connection breaks."""
        params = {"stream": "true", "filters": json.dumps({"type": ["container", "network"]})}
        stream = self._http.stream("GET", "/events", "stream events", params=params)
        return ItemStream(stream, self._parse_events)

    def _parse_events(self, stream: RawStream) -> Iterator[EngineEvent]:
        for line in iter_lines(stream):
            # A line that cannot be read ends the stream: the next one begins with a listing, which has it
            # all.
            item = EVENT.read(line, engine=self._http.engine, action="stream events")
            if (event := self._parse_event(item)) is not None:
                yield event

    def _parse_event(self, item: EventAnswer) -> EngineEvent | None:
        return parse_event(item)

    # --- images and devices

    def _find_image(self, image: str, path: str, shape: Shape[T]) -> T | None:
        """Returns the response about an image; None where it is not in the engine's store."""
        try:
            return self._http.call("GET", path, f"look for the image {image}", expect=shape)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _pull(
        self,
        image: str,
        progress: Callable[[PullProgress], None],
        *,
        path: str,
        params: Json,
        auth_header: str = "",
        compatible: bool = False,
    ) -> None:
        try:
            stream = self._http.stream(
                "POST",
                path,
                f"pull the image {image}",
                params=params,
                headers={"X-Registry-Auth": auth_header} if auth_header else {},
                seconds=PULL_SECONDS,
                compatible=compatible,
            )
        except ApiError as error:
            raise error_mapping.pull_error(image, error.detail) from error
        follow_pull(image, stream, progress, engine=self._http.engine)

    def limitations(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Returns which variables are not passed on; all else is verified by inspect after the create."""
        return tuple(list_hidden(spec.env))

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Returns the host's devices by class (CDI's inventory, and GPUs no specification describes)."""
        with self._devices_lock:
            if self._devices is None or time.monotonic() - self._devices[0] > _DEVICES_SECONDS:
                self._devices = (time.monotonic(), host_devices.list_devices())
            return self._devices[1]

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()
        self._oom_log.close()


def auth_header(auth: RegistryAuth, **more: str) -> str:
    """Returns registry credentials as the ``X-Registry-Auth`` header has them."""
    credentials = json.dumps({"username": auth.username, "password": auth.password, **more})
    return base64.urlsafe_b64encode(credentials.encode()).decode()
