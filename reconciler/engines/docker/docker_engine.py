"""Docker as an engine, through its Engine API (20.10 and later)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, Final

from reconciler.engines.docker import docker_answers
from reconciler.engines.docker.docker_api import DockerApi
from reconciler.engines.docker.docker_create_body import docker_create_body
from reconciler.engines.docker.docker_logs import FollowedLog, FollowedLogs, MissingLines, RestOfLog
from reconciler.engines.docker.docker_responses import parse_info, parse_name, parse_network
from reconciler.engines.host import image_references, socket_owner, sub_paths, subnet_pool
from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.object_answers import (
    CREATED,
    IMAGE,
    VOLUME,
    ContainerAnswer,
    EventAnswer,
)
from reconciler.engines.http.container_json import parse_address, parse_state, parse_time
from reconciler.engines.http.container_verification import Difference
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.http_api import CALL_SECONDS
from reconciler.engines.http.http_engine import HttpEngine, auth_header
from reconciler.engines.http.http_objects import WORK_SECONDS, Json
from reconciler.engines.http.inspect_cache import InspectCache
from reconciler.engines.http.polled_logs.log_sources import PolledLog, PumpedLog
from reconciler.engines.http.response_streams import ItemStream, RawStream, iter_frames
from reconciler.engines.protocol import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    ExitFacts,
    LogSource,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
)
from reconciler.engines.spec_validation import validate_text
from reconciler.engines.specs import ContainerSpec, NetworkSpec, VolumeSpec
from reconciler.errors import EngineError, NotFound

#: Volume sub-paths came with this API version (Docker 26).
_SUB_PATHS: Final = (1, 45)


#: State in a listing -> the events that say that it is another by now.
_AHEAD: Final[Mapping[str, tuple[str, ...]]] = {"running": ("die", "pause"), "paused": ("unpause", "die")}


class DockerEngine(HttpEngine):
    """Docker at a daemon's address.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
        address_pool: where networks get their subnet (CIDR): Docker accepts fixed addresses only on a
            network whose subnet was given; empty: :data:`subnet_pool.DEFAULT_SUBNET_POOL`.
    """

    name = "docker"
    _sub_paths_since = "Docker 26"
    _grace_parameter = "t"
    _remove_params: ClassVar[Json] = {"v": "true"}
    _network_state = staticmethod(parse_network)
    _containers_answer = docker_answers.CONTAINERS
    _networks_answer = docker_answers.NETWORKS
    _network_answer = docker_answers.NETWORK
    _volumes_answer = docker_answers.VOLUMES

    def __init__(self, url: str, *, address_pool: Sequence[str] = ()) -> None:
        self._api = DockerApi(url)
        super().__init__(self._api, address_pool=address_pool)
        self._start_cache: InspectCache[float | None] = InspectCache()
        self._pids: InspectCache[int] = InspectCache()
        #: The last event of a container that has changed its state.
        self._last_action: InspectCache[str] = InspectCache()

    # --- listing and inspecting

    def info(self) -> EngineInfo:
        """Returns facts of the engine (:class:`~reconciler.engines.protocol.Engine` documents all calls)."""
        return parse_info(
            self._http.call("GET", "/info", "report its version", expect=docker_answers.INFO),
            url=self.url,
            same_mounts=socket_owner.shares_mounts(self.url),
        )

    def _parse_event(self, item: EventAnswer) -> EngineEvent | None:
        if item["Type"] == "container" and item.get("Action") in {"die", "start", "pause", "unpause"}:
            container = (item.get("Actor") or {}).get("ID", "")
            self._last_action.put(container, item["Action"])
        return super()._parse_event(item)

    def _listed_container(self, item: docker_answers.ListedAnswer) -> ContainerState:
        """Returns a container of a listing; only an inspect knows its start and exit, and is made once."""
        container = item["Id"]
        state = parse_state(item["State"])
        started, exited = None, None
        if self._last_action.get(container) in _AHEAD.get(state, ()):
            # Docker sends these events before its listing has the state; an inspect waits until it is over.
            state = parse_state(self._inspect(container)["State"]["Status"])
        if state != "created":
            started, exited = self._start_and_exit(container, exited=state == "exited")
        return ContainerState(
            id=container,
            name=parse_name(item.get("Names") or ()),
            labels=item.get("Labels") or {},
            state=state,
            exit=exited,
            address=parse_address(item),
            created_at=float(created) if (created := item.get("Created")) else None,
            started_at=started,
        )

    def _start_and_exit(self, container: str, *, exited: bool) -> tuple[float | None, ExitFacts | None]:
        # A restarted container is seen by another state in between, or by its status.
        version = "exited" if exited else "up"
        started, facts = self._start_cache.get(container, version), self._exit_cache.get(container, version)
        if started is None or (exited and facts is None):
            inspected = self._inspect(container)
            started = parse_time(inspected["State"]["StartedAt"])
            self._start_cache.put(container, started, version)
            if pid := inspected["State"].get("Pid"):
                self._pids.put(container, pid)
            if exited:
                facts = self._exit_facts(inspected)
                self._exit_cache.put(container, facts, version)
        return started, facts

    def _main_pid(self, inspected: ContainerAnswer) -> int:
        return self._pids.get(inspected["Id"]) or 0

    # --- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Creates a bridge network (DNS included) with a subnet from the pool."""
        for subnet in self._free_subnets(spec.name, spec.min_addresses):
            gateway = str(next(ipaddress.IPv4Network(subnet).hosts()))
            body = {
                "Name": spec.name,
                "Driver": "bridge",
                "CheckDuplicate": True,
                "Labels": dict(spec.labels),
                "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet, "Gateway": gateway}]},
            }
            action = f"create the network {spec.name}"
            try:
                created = self._http.call(
                    "POST", "/networks/create", action, expect=docker_answers.CREATED_NETWORK, body=body
                )
            except ApiError as error:
                if "overlap" in error.detail or "already in use" in error.detail:
                    continue
                raise error_mapping.create_object_error("network", spec.name, error) from error
            return NetworkState(
                id=created["Id"], name=spec.name, labels=dict(spec.labels), subnet=subnet, gateway=gateway
            )
        raise subnet_pool.pool_exhausted(spec.name, self._address_pool)

    def create_volume(self, spec: VolumeSpec) -> None:
        """Creates a volume; one that exists with the same labels is no error."""
        labels = {**spec.labels, **spec.owner_labels}
        body: dict[str, Any] = {"Name": spec.name, "Labels": labels, "Driver": "local"}
        if spec.tmpfs_size is not None:
            size = f",size={spec.tmpfs_size}" if spec.tmpfs_size else ""
            body["DriverOpts"] = {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777{size}"}
        try:
            # An existing one is returned as it is.
            action = f"create the volume {spec.name}"
            volume = self._http.call("POST", "/volumes/create", action, expect=VOLUME, body=body)
        except ApiError as error:
            raise error_mapping.create_object_error("volume", spec.name, error) from error
        self._check_created_volume(spec.name, volume)
        if not spec.matches(volume.get("Labels")):
            raise error_mapping.name_conflict("Docker", "volume", spec.name)
        if spec.tmpfs_size is None:
            sub_paths.make_world_writable(volume["Mountpoint"])

    # --- containers

    def create_container(self, spec: ContainerSpec) -> str:
        """Creates, but does not start, a container, and verifies by inspect that it is as specified."""
        validate_text(spec)
        spec = self._resolve_mounts(spec)
        if spec.network and not spec.share_network_with and not spec.host_network:
            # Docker would notice a missing network only at start.
            self.inspect_network(spec.network)
        body = self._create_body(spec)
        try:
            created = self._http.call(
                "POST",
                "/containers/create",
                f"create the container {spec.name}",
                expect=CREATED,
                params={"name": spec.name},
                body=body,
                seconds=WORK_SECONDS,
            )
        except ApiError as error:
            raise error_mapping.create_error(error, name=spec.name, image=spec.image) from error
        return self._confirm_create(spec, created)

    def _differences(self, spec: ContainerSpec, inspected: ContainerAnswer) -> Iterator[Difference]:
        yield from super()._differences(spec, inspected)
        yield from _docker_differences(spec, self._create_body(spec), inspected)

    def _create_body(self, spec: ContainerSpec) -> dict[str, Any]:
        return docker_create_body(spec, with_cdi=bool(spec.devices) and self._resolves_cdi)

    def _supports_sub_paths(self) -> bool:
        return self._api.version >= _SUB_PATHS

    @cached_property
    def _resolves_cdi(self) -> bool:
        return bool(self.info().details["cdi"])

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        tty = self._inspect(container.id)["Config"].get("Tty", False)
        if tty or not follow:
            return ItemStream(
                self._read_logs(container, follow=follow, tail=tail), partial(iter_frames, tty=tty)
            )
        timed = {"timestamps": "true"}

        def open_rest(since: str) -> RawStream | None:
            try:
                return self._read_logs(container, follow=False, tail=None, params=timed | {"since": since})
            except NotFound:
                return None
            except ApiError as error:
                if error.status == 409:  # it is being removed
                    return None
                raise

        return FollowedLogs(self._read_logs(container, follow=True, tail=tail, params=timed), open_rest)

    def _open_log(self, inspected: Json, *, follow: bool) -> LogSource:
        container = str(inspected["Id"])
        tty = bool((inspected.get("Config") or {}).get("Tty"))
        timed = follow and not tty

        def open_stream(since: str = "") -> RawStream:
            params = ({"timestamps": "true"} if timed else {}) | ({"since": since} if since else {})
            name = str(inspected.get("Name") or container).removeprefix("/")
            goes_on = follow and not since
            return self._stream_logs(container, name, follow=goes_on, params=params, seconds=CALL_SECONDS)

        def open_rest(missing: MissingLines, since: str) -> RestOfLog:
            stream = open_stream(since)
            if (body := stream.polled()) is None:
                raise EngineError("Docker's socket cannot be polled any more.")
            return RestOfLog(stream, body, missing)

        stream = open_stream()
        body = stream.polled()
        if body is None:
            stream.finish()
            timed = False
            return PumpedLog(open_stream, tty=tty)
        return FollowedLog(stream, body, open_rest) if timed else PolledLog(stream, body, tty=tty)

    # --- images

    def image_exists(self, image: str) -> bool:
        """Reports whether the image is in Docker's store."""
        return self._find_image(image, f"/images/{image}/json", IMAGE) is not None

    def image_user(self, image: str) -> str | None:
        """Returns the user in the image's configuration; None where there is no such image."""
        found = self._find_image(image, f"/images/{image}/json", IMAGE)
        return None if found is None else (found.get("Config") or {}).get("User") or ""

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pulls an image and calls ``progress``; without ``auth``, with what ``docker login`` left."""
        registry = image_references.registry_of(image)
        if auth is not None:
            header = auth_header(auth, serveraddress=registry)
        else:
            header = self._api.registry_auth(registry)
        params = {"fromImage": image_references.full_name(image)}
        self._pull(image, progress, path="/images/create", params=params, auth_header=header)


def _docker_differences(spec: ContainerSpec, body: Json, inspected: Json) -> Iterator[Difference]:
    """Yields what only Docker's inspect has before the start: the address and the device requests."""
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    if spec.network in networks and spec.address and (got := parse_address(inspected)) != spec.address:
        yield Difference(field="address", asked=spec.address, got=got)
    asked, present = (_device_names(host) for host in (body["HostConfig"], inspected.get("HostConfig") or {}))
    if asked - present:
        yield Difference(field="devices", asked=", ".join(sorted(asked)), got=", ".join(sorted(present)))


def _device_names(host: Json) -> set[str]:
    names = {name for request in host.get("DeviceRequests") or () for name in request.get("DeviceIDs") or ()}
    return names | {device.get("PathOnHost") for device in host.get("Devices") or ()}
