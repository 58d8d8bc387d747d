"""Docker as an engine, through its Engine API (20.10 and later)."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.engines.discovery import socket_owner
from reconciler.engines.docker.docker_api import DockerApi
from reconciler.engines.docker.docker_logs import FollowedLogs
from reconciler.engines.docker.docker_responses import address_of, engine_info, network_state, own_name
from reconciler.engines.docker.docker_specs import container_body
from reconciler.engines.host import image_names, subnets, subpath_folders
from reconciler.engines.http import error_mapping
from reconciler.engines.http.container_facts import (
    Remembered,
    has_labels,
    label_filter,
    parse_time,
    state_name,
)
from reconciler.engines.http.error_mapping import Refused
from reconciler.engines.http.http_engine import PULL_SECONDS, WORK_SECONDS, HttpEngine
from reconciler.engines.http.pull_stream import follow_pull
from reconciler.engines.http.streams import Framed, RawStream
from reconciler.engines.http.verification import (
    Difference,
    differences,
    raise_if_drifted,
    raise_if_unspeakable,
)
from reconciler.engines.protocol import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.specs import ContainerSpec, NetworkSpec, VolumeSpec
from reconciler.errors import Drifted, NotFound

#: Volume sub-paths came with this API version (Docker 26).
_SUB_PATHS: Final = (1, 45)


class DockerEngine(HttpEngine):
    """Docker at a daemon's address.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
        subnet_pool: where networks get their subnet (CIDR): Docker takes fixed addresses only on a
            network whose subnet was given.
    """

    name = "docker"
    _parts_since = "Docker 26"
    _grace_parameter = "t"

    def __init__(self, url: str, *, subnet_pool: Sequence[str] = subnets.DEFAULT_POOL) -> None:
        self._api = DockerApi(url)
        super().__init__(self._api, subnet_pool=subnet_pool)
        self._starts: Remembered[float | None] = Remembered()
        self._processes: Remembered[int] = Remembered()
        #: Whether an event told of the container's end (True) or start (False) last.
        self._told_ended: Remembered[bool] = Remembered()
        self._with_cdi: bool | None = None

    # --- looking

    def info(self) -> EngineInfo:
        """Ask who is there (see :class:`~reconciler.engines.protocol.Engine`, as for all that follows)."""
        return engine_info(
            self._http.call("GET", "/info", "tell about itself"),
            url=self.url,
            api_version=self._api.version,
            same_mounts=socket_owner.shares_mounts(self.url),
            devices=self.devices(),
        )

    def _event(self, item: Mapping[str, Any]) -> EngineEvent | None:
        if item.get("Type") == "container" and item.get("Action") in {"die", "start"}:
            identity = str((item.get("Actor") or {}).get("ID") or "")
            self._told_ended.put(identity, None, item["Action"] == "die")
        return super()._event(item)

    def _listed(self, item: Mapping[str, Any]) -> ContainerState:
        """As the listing has it; when it started and why it ended, only an inspect tells, once."""
        identity = item["Id"]
        state = state_name(str(item.get("State") or ""))
        started, ended = None, None
        if state == "running" and self._told_ended.get(identity, None):
            # Docker tells of an end before its listing has it; a look waits until it is over.
            state = state_name(str(self._inspect(identity)["State"].get("Status") or ""))
        if state != "created":
            # A container that was started again tells so by another state in between, or by its status.
            version = "exited" if state == "exited" else "up"
            started, ended = self._starts.get(identity, version), self._exits.get(identity, version)
            if started is None or (state == "exited" and ended is None):
                found = self._inspect(identity)
                started = parse_time(found["State"].get("StartedAt"))
                self._starts.put(identity, version, started)
                if found["State"].get("Pid"):
                    self._processes.put(identity, None, int(found["State"]["Pid"]))
                if state == "exited":
                    ended = self._exit_facts(found)
                    self._exits.put(identity, version, ended)
        return ContainerState(
            id=identity,
            name=own_name(item.get("Names") or ()),
            labels=item.get("Labels") or {},
            image=item.get("Image") or "",
            state=state,
            exit=ended if state == "exited" else None,
            address=address_of((item.get("NetworkSettings") or {}).get("Networks")),
            created_at=float(item["Created"]) if item.get("Created") else None,
            started_at=started,
        )

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks that carry all the labels."""
        listed = self._http.call(
            "GET", "/networks", "list networks", params={"filters": label_filter(labels)}
        )
        states = [network_state(item) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes that carry all the labels."""
        answer = self._http.call("GET", "/volumes", "list volumes", params={"filters": label_filter(labels)})
        listed = (answer or {}).get("Volumes") or ()
        states = [VolumeState(name=item["Name"], labels=item.get("Labels") or {}) for item in listed]
        return [state for state in states if has_labels(state.labels, labels)]

    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id, with exit facts and address."""
        found = self._inspect(name)
        state = found.get("State") or {}
        word = state_name(str(state.get("Status") or ""))
        return ContainerState(
            id=found["Id"],
            name=str(found.get("Name") or "").removeprefix("/"),
            labels=(found.get("Config") or {}).get("Labels") or {},
            image=(found.get("Config") or {}).get("Image") or "",
            state=word,
            exit=self._exit_facts(found) if word == "exited" else None,
            address=address_of((found.get("NetworkSettings") or {}).get("Networks")),
            created_at=parse_time(found.get("Created")),
            started_at=parse_time(state.get("StartedAt")),
        )

    def _first_process(self, found: Mapping[str, Any]) -> int:
        return self._processes.get(found["Id"], None) or 0

    def inspect_network(self, name: str) -> NetworkState:
        """One network by name, whoever owns it."""
        return network_state(self._get("network", name, f"/networks/{name}"))

    # --- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Create a bridge network (DNS included) with a subnet from the pool."""
        for subnet in self._subnets(spec.name, spec.min_addresses):
            gateway = str(next(ipaddress.IPv4Network(subnet).hosts()))
            body = {
                "Name": spec.name,
                "Driver": "bridge",
                "CheckDuplicate": True,
                "Labels": dict(spec.labels),
                "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet, "Gateway": gateway}]},
            }
            try:
                made = self._http.call(
                    "POST", "/networks/create", f"create the network {spec.name}", body=body
                )
            except Refused as refused:
                if "overlap" in refused.detail or "already in use" in refused.detail:
                    continue
                raise error_mapping.taken("network", spec.name, refused) from refused
            return NetworkState(
                id=made["Id"], name=spec.name, labels=dict(spec.labels), subnet=subnet, gateway=gateway
            )
        raise subnets.exhausted(spec.name, self._pool)

    def create_volume(self, spec: VolumeSpec) -> None:
        """Create a volume; one that exists with the same labels is no error."""
        body: dict[str, Any] = {"Name": spec.name, "Labels": {**spec.labels, **spec.owner}, "Driver": "local"}
        if spec.tmpfs_size is not None:
            size = f",size={spec.tmpfs_size}" if spec.tmpfs_size else ""
            body["DriverOpts"] = {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777{size}"}
        try:
            # An existing one is returned as it is.
            made = self._http.call("POST", "/volumes/create", f"create the volume {spec.name}", body=body)
        except Refused as refused:
            raise error_mapping.taken("volume", spec.name, refused) from refused
        if not spec.is_met_by(made.get("Labels")):
            raise error_mapping.name_taken("Docker", "volume", spec.name)
        if spec.tmpfs_size is None:
            subpath_folders.open_to_all(made["Mountpoint"])

    # --- containers

    def create_container(self, spec: ContainerSpec) -> str:
        """Create, not start, a container and check by inspect that it is what was asked for."""
        raise_if_unspeakable(spec)
        spec = replace(spec, mounts=tuple(self._usable(mount) for mount in spec.mounts))
        if spec.network and not spec.share_network_with and not spec.host_network:
            # Docker would notice a missing network only at start.
            self._get("network", spec.network, f"/networks/{spec.network}")
        body = container_body(spec, with_cdi=bool(spec.devices) and self._resolves_cdi())
        try:
            created = self._http.call(
                "POST",
                "/containers/create",
                f"create the container {spec.name}",
                params={"name": spec.name},
                body=body,
                seconds=WORK_SECONDS,
            )
        except Refused as refused:
            raise error_mapping.create_failure(refused, name=spec.name, image=spec.image) from refused
        identity = str(created["Id"])
        try:
            found = self._inspect(identity)
            drifted = [*differences(spec, found), *_own_differences(spec, body, found)]
            raise_if_drifted(spec.name, drifted, created.get("Warnings") or ())
        except Drifted:
            self.remove_container(identity)
            raise
        self._signals.made(identity, spec.name)
        return identity

    def _volume(self, name: str) -> Mapping[str, Any]:
        volume: Mapping[str, Any] = self._get("volume", name, f"/volumes/{name}")
        return volume

    def _mounts_parts(self) -> bool:
        return self._api.version >= _SUB_PATHS

    def _resolves_cdi(self) -> bool:
        if self._with_cdi is None:
            answer = self._http.call("GET", "/info", "tell about itself")
            self._with_cdi = bool(answer.get("CDISpecDirs"))
        return self._with_cdi

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        tty = bool((self._inspect(container.id).get("Config") or {}).get("Tty"))
        if tty or not follow:
            return Framed(self._read_logs(container, follow=follow, tail=tail), tty=tty)
        timed = {"timestamps": "true"}

        def rest(since: str) -> RawStream | None:
            try:
                return self._read_logs(container, follow=False, tail=None, further=timed | {"since": since})
            except NotFound:
                return None
            except Refused as refused:
                if refused.status == 409:  # it is being removed
                    return None
                raise

        return FollowedLogs(self._read_logs(container, follow=True, tail=tail, further=timed), rest)

    # --- images

    def image_exists(self, image: str) -> bool:
        """Whether the image is in Docker's store."""
        return self._has_image(image, f"/images/{image}/json")

    def image_user(self, image: str) -> str | None:
        """Whom its containers run as, by its configuration."""
        found = self._image_config(image, f"/images/{image}/json")
        return None if found is None else str(found.get("User") or "")

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull an image, telling of progress on the way; without ``auth``, as ``docker login`` left it."""
        full = image_names.full_name(image)
        registry = image_names.registry_of(image)
        if auth is not None:
            credentials = json.dumps(
                {"username": auth.username, "password": auth.password, "serveraddress": registry}
            )
            header = base64.urlsafe_b64encode(credentials.encode()).decode()
        else:
            header = self._api.registry_auth(registry)
        try:
            stream = self._http.stream(
                "POST",
                "/images/create",
                f"pull the image {image}",
                params={"fromImage": full},
                headers={"X-Registry-Auth": header} if header else {},
                seconds=PULL_SECONDS,
            )
        except Refused as refused:
            raise error_mapping.pull_failure(image, refused.detail) from refused
        follow_pull(image, stream, progress)


def _own_differences(
    spec: ContainerSpec, body: Mapping[str, Any], found: Mapping[str, Any]
) -> list[Difference]:
    """What only Docker's inspect tells before the start: the address and the device requests."""
    differing = []
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    if spec.network in networks and spec.address:
        got = address_of({spec.network: networks[spec.network]})
        if got != spec.address:
            differing.append(Difference(field="address", asked=spec.address, got=got))
    wanted, host = body["HostConfig"], found.get("HostConfig") or {}
    asked = {name for request in wanted["DeviceRequests"] for name in request["DeviceIDs"]}
    asked |= {device["PathOnHost"] for device in wanted["Devices"]}
    there = {name for request in host.get("DeviceRequests") or () for name in request.get("DeviceIDs") or ()}
    there |= {device.get("PathOnHost") for device in host.get("Devices") or ()}
    if asked - there:
        differing.append(
            Difference(field="devices", asked=", ".join(sorted(asked)), got=", ".join(sorted(there)))
        )
    return differing
