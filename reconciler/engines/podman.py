"""Podman as an engine, through its libpod API (4.0 and later, rootful or rootless)."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event, Lock
from typing import Any, Final

from reconciler.engines import cdi, failures, images, mounts, subnets
from reconciler.engines.base import (
    ContainerSpec,
    ContainerState,
    EngineEvent,
    EngineInfo,
    EventStream,
    ExitFacts,
    LogStream,
    Mount,
    NetworkSpec,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeSpec,
    VolumeState,
)
from reconciler.engines.checks import Difference, differences, raise_if_drifted
from reconciler.engines.executing import collect
from reconciler.engines.facts import (
    Remembered,
    action_name,
    event_labels,
    exit_facts,
    has_labels,
    parse_time,
    state_name,
)
from reconciler.engines.failures import Refused
from reconciler.engines.podman_api import CALL_SECONDS, PodmanApi
from reconciler.engines.podman_specs import container_body
from reconciler.engines.pulling import follow_pull
from reconciler.engines.streams import Events, Logs, RawStream, StartSignals
from reconciler.errors import Conflict, Drifted, NotFound, StartFailed

#: Volume sub-paths came with this version; before it the folder is bind-mounted.
_SUB_PATHS: Final = (5, 4)

#: What Podman gives a network by itself: a /24.
_AUTOMATIC_PREFIX: Final = 24

_START_SECONDS: Final = 180.0

#: Without a byte from the registry for so long, a pull is given up.
_PULL_SECONDS: Final = 600.0


class PodmanEngine:
    """Podman at a service's address.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
        subnet_pool: where networks for more containers than a /24 holds get their subnet.
    """

    name = "podman"

    def __init__(self, url: str, *, subnet_pool: Sequence[str] = subnets.DEFAULT_POOL) -> None:
        self.url = url
        self._pool = tuple(subnet_pool)
        self._api = PodmanApi(url)
        self._exits: Remembered[ExitFacts] = Remembered()
        self._signals = StartSignals()
        self._cdi_asked: Remembered[tuple[str, ...]] = Remembered()
        self._version: tuple[int, ...] | None = None
        self._version_lock = Lock()

    # --- looking

    def info(self) -> EngineInfo:
        """Ask who is there (see :class:`~reconciler.engines.base.Engine`, as for all that follows)."""
        answer = self._api.call("GET", "/info", "tell about itself")
        host = answer.get("host") or {}
        version = answer.get("version") or {}
        return EngineInfo(
            name=self.name,
            version=str(version.get("Version", "")),
            host=self.url,
            rootless=bool((host.get("security") or {}).get("rootless")),
            cpus=float(host.get("cpus") or 0),
            memory=int(host.get("memTotal") or 0),
            details={
                "api_version": version.get("APIVersion", ""),
                "cgroup_version": str(host.get("cgroupVersion", "")).removeprefix("v"),
                "cgroup_controllers": tuple(host.get("cgroupControllers") or ()),
                "cgroup_manager": host.get("cgroupManager", ""),
                "network_backend": host.get("networkBackend", ""),
                "runtime": (host.get("ociRuntime") or {}).get("name", ""),
                "storage_driver": (answer.get("store") or {}).get("graphDriverName", ""),
                "storage_root": (answer.get("store") or {}).get("graphRoot", ""),
                "events_logger": host.get("eventLogger", ""),
                "cdi_devices": {kind: len(names) for kind, names in self.devices().items()},
            },
        )

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers that carry all the labels, in one call.

        The listing doesn't tell whether memory killed a container: those that failed are inspected, once.
        """
        listed = self._api.call(
            "GET", "/containers/json", "list containers", params={"all": "true", "filters": _filters(labels)}
        )
        states = []
        for item in listed or ():
            if not has_labels(item.get("Labels"), labels):
                continue
            try:
                states.append(self._listed(item))
            except NotFound:
                continue  # removed between the listing and the look at its end
        return states

    def _listed(self, item: Mapping[str, Any]) -> ContainerState:
        state = state_name(str(item.get("State") or ""))
        started = item.get("StartedAt") or 0
        return ContainerState(
            id=item["Id"],
            name=(item.get("Names") or [""])[0],
            labels=item.get("Labels") or {},
            image=item.get("Image") or "",
            state=state,
            exit=self._exit_of(item) if state == "exited" else None,
            created_at=parse_time(item.get("Created")) if isinstance(item.get("Created"), str) else None,
            started_at=float(started) if started > 0 else None,
        )

    def _exit_of(self, item: Mapping[str, Any]) -> ExitFacts:
        version = (item.get("State"), item.get("ExitedAt"), item.get("ExitCode"))
        known = self._exits.get(item["Id"], version)
        if known is None:
            known = exit_facts(self._inspect(item["Id"]).get("State") or {})
            self._exits.put(item["Id"], version, known)
        return known

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks that carry all the labels."""
        listed = self._api.call(
            "GET", "/networks/json", "list networks", params={"filters": _filters(labels)}
        )
        states = [_network_state(item) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes that carry all the labels."""
        listed = self._api.call("GET", "/volumes/json", "list volumes", params={"filters": _filters(labels)})
        states = [VolumeState(name=item["Name"], labels=item.get("Labels") or {}) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id, with exit facts and, while it runs, its address."""
        found = self._inspect(name)
        state = found.get("State") or {}
        word = state_name(str(state.get("Status") or ""))
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        return ContainerState(
            id=found["Id"],
            name=found.get("Name") or "",
            labels=(found.get("Config") or {}).get("Labels") or {},
            image=found.get("ImageName") or "",
            state=word,
            exit=exit_facts(state) if word == "exited" else None,
            address=next((net["IPAddress"] for net in networks.values() if net.get("IPAddress")), ""),
            created_at=parse_time(found.get("Created")),
            started_at=parse_time(state.get("StartedAt")),
        )

    def _inspect(self, container: str) -> Any:
        try:
            return self._api.call("GET", f"/containers/{container}/json", f"inspect container {container}")
        except Refused as refused:
            if failures.is_gone(refused):
                raise failures.missing("container", container, refused) from refused
            raise

    def inspect_network(self, name: str) -> NetworkState:
        """One network by name, whoever owns it."""
        try:
            found = self._api.call("GET", f"/networks/{name}/json", f"inspect network {name}")
        except Refused as refused:
            if failures.is_gone(refused):
                raise failures.missing("network", name, refused) from refused
            raise
        return _network_state(found)

    # --- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Create a bridge network with DNS; Podman picks the subnet, unless a /24 is too small."""
        body: dict[str, Any] = {
            "name": spec.name,
            "driver": "bridge",
            "dns_enabled": True,
            "labels": dict(spec.labels),
        }
        prefix = subnets.prefix_for(spec.min_addresses)
        if prefix >= _AUTOMATIC_PREFIX:
            return self._create_network(body)
        for subnet in subnets.candidates(
            spec.name, prefix=prefix, pool=self._pool, avoid=subnets.host_routes()
        ):
            try:
                return self._create_network(body | {"subnets": [{"subnet": str(subnet)}]})
            except Refused as refused:
                if "subnet" not in refused.detail:
                    raise
        raise subnets.exhausted(spec.name, self._pool)

    def _create_network(self, body: Mapping[str, Any]) -> NetworkState:
        name = str(body["name"])
        try:
            return _network_state(
                self._api.call("POST", "/networks/create", f"create the network {name}", body=body)
            )
        except Refused as refused:
            if "subnet" in refused.detail:
                raise
            raise failures.taken("network", name, refused) from refused

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is not there is no error."""
        self._remove(f"/networks/{name}", f"remove the network {name}")

    def create_volume(self, spec: VolumeSpec) -> None:
        """Create a volume; one that exists with the same labels is no error."""
        body: dict[str, Any] = {"Name": spec.name, "Labels": dict(spec.labels), "Driver": "local"}
        if spec.tmpfs_size is not None:
            size = f",size={spec.tmpfs_size}" if spec.tmpfs_size else ""
            body["Options"] = {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777{size}"}
        try:
            made = self._api.call("POST", "/volumes/create", f"create the volume {spec.name}", body=body)
        except Refused as refused:
            failure = failures.taken("volume", spec.name, refused)
            if isinstance(failure, Conflict) and has_labels(self._volume(spec.name)["Labels"], spec.labels):
                return
            raise failure from refused
        if spec.tmpfs_size is None:
            mounts.open_to_all(made["Mountpoint"])

    def _volume(self, name: str) -> Any:
        try:
            return self._api.call("GET", f"/volumes/{name}/json", f"inspect the volume {name}")
        except Refused as refused:
            if failures.is_gone(refused):
                raise failures.missing("volume", name, refused) from refused
            raise

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is not there is no error."""
        self._remove(f"/volumes/{name}", f"remove the volume {name}")

    def _remove(self, path: str, what: str, params: Mapping[str, Any] | None = None) -> None:
        try:
            self._api.call("DELETE", path, what, params=params, seconds=_START_SECONDS)
        except Refused as refused:
            if not failures.is_gone(refused):
                raise

    # --- containers

    def create_container(self, spec: ContainerSpec) -> str:
        """Create, not start, a container and check by inspect that it is what was asked for."""
        spec = replace(spec, mounts=tuple(self._usable(mount) for mount in spec.mounts))
        inventory = cdi.inventory() if spec.devices else []
        body = container_body(spec, image=spec.image, inventory=inventory)
        created = self._create(spec, body)
        identity = str(created["Id"])
        try:
            found = self._inspect(identity)
            raise_if_drifted(spec.name, list(differences(spec, found)), created.get("Warnings") or ())
        except Drifted:
            self.remove_container(identity)
            raise
        if body["devices"]:
            asked = tuple(device["path"] for device in body["devices"])
            for key in (identity, spec.name):
                self._cdi_asked.put(key, None, asked)
        return identity

    def _create(self, spec: ContainerSpec, body: dict[str, Any]) -> Any:
        what = f"create the container {spec.name}"
        try:
            return self._api.call("POST", "/containers/create", what, body=body, seconds=_START_SECONDS)
        except Refused as refused:
            failure = failures.create_failure(refused, name=spec.name, image=spec.image)
            full = images.full_name(spec.image)
            if not isinstance(failure, NotFound) or "image" not in failure.message or full == spec.image:
                raise failure from refused
        try:
            # A short name means Docker Hub's, whatever registries.conf says: as on a cluster.
            body = body | {"image": full}
            return self._api.call("POST", "/containers/create", what, body=body, seconds=_START_SECONDS)
        except Refused as refused:
            raise failures.create_failure(refused, name=spec.name, image=spec.image) from refused

    def _usable(self, mount: Mount) -> Mount:
        """The mount as this version can do it; volumes are checked: Podman would make a missing one."""
        if mount.kind != "volume":
            return mount
        volume = self._volume(mount.source)
        if not mount.sub_path:
            return mount
        root = volume["Mountpoint"]
        if self._at_least(_SUB_PATHS):
            mounts.inside(root, mount.sub_path)
            return mount
        if not mounts.visible(root) or volume.get("Options"):
            raise StartFailed(
                f"This Podman cannot mount the volume {mount.source} with a subPath ({mount.sub_path}).",
                remedy="Use Podman 5.4 or later, or mount the whole volume.",
            )
        return replace(mount, kind="bind", source=root)

    def _at_least(self, version: tuple[int, ...]) -> bool:
        with self._version_lock:
            if self._version is None:
                answer = self._api.call("GET", "/version", "tell its version")
                digits = str(answer.get("Version", "0")).split("-")[0].split(".")
                self._version = tuple(int(part) for part in digits if part.isdigit())
            return self._version >= version

    def start_container(self, container: str) -> None:
        """Start a created container; asked-for devices are checked, as Podman resolves them only now."""
        try:
            self._api.call(
                "POST",
                f"/containers/{container}/start",
                f"start the container {container}",
                seconds=_START_SECONDS,
            )
        except Refused as refused:
            raise failures.start_failure(refused, name=container) from refused
        self._signals.notify(container)
        asked = self._cdi_asked.get(container, None)
        if asked:
            self._check_devices(container, asked)

    def _check_devices(self, container: str, asked: tuple[str, ...]) -> None:
        found = self._inspect(container)
        devices = (found.get("HostConfig") or {}).get("Devices") or ()
        there = {device.get("PathInContainer") for device in devices}
        nodes = {f"{device.kind}={device.name}": device.nodes for device in cdi.inventory()}
        lacking = [
            path
            for path in asked
            # Of a device described elsewhere (or by mounts alone) it can only be known that there is one.
            if not set(nodes.get(path, ())) <= there and not (path.startswith("/dev/") and path in there)
        ]
        if lacking:
            self.remove_container(container)
            raise_if_drifted(
                container,
                [Difference(field="devices", asked=", ".join(lacking), got=", ".join(sorted(there)))],
            )

    def stop_container(self, container: str, grace: float) -> None:
        """TERM, then KILL after ``grace`` seconds; returns when it has ended. Gone or ended is no error."""
        # A paused process does not see the signal.
        self.unpause_container(container)
        self._signal(
            f"/containers/{container}/stop",
            f"stop the container {container}",
            {"timeout": math.ceil(grace)},
            seconds=grace + CALL_SECONDS,
        )

    def kill_container(self, container: str, signal: str) -> None:
        """Send a signal (``SIGTERM``); gone or ended is no error."""
        self._signal(f"/containers/{container}/kill", f"signal the container {container}", {"signal": signal})

    def unpause_container(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error."""
        self._signal(f"/containers/{container}/unpause", f"unpause the container {container}", {})

    def _signal(
        self, path: str, what: str, params: Mapping[str, Any], *, seconds: float = CALL_SECONDS
    ) -> None:
        try:
            self._api.call("POST", path, what, params=params, seconds=seconds)
        except Refused as refused:
            if not failures.is_gone(refused) and "state improper" not in refused.detail:
                raise

    def remove_container(self, container: str) -> None:
        """Remove a container by force, its anonymous volumes too; one that is not there is no error.

        Containers that share its namespaces are removed with it: Podman keeps none of them alone.
        """
        self._remove(
            f"/containers/{container}",
            f"remove the container {container}",
            {"force": "true", "v": "true", "depend": "true", "timeout": 0},
        )

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Run a command inside; returns exit status and output (at most 64 KiB)."""
        what = f"run {command[0]} in the container {container}"
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        try:
            made = self._api.call("POST", f"/containers/{container}/exec", what, body=body)
        except Refused as refused:
            if failures.is_gone(refused):
                raise failures.missing("container", container, refused) from refused
            raise
        stream = self._api.stream(
            "POST",
            f"/exec/{made['Id']}/start",
            what,
            body={"Detach": False, "Tty": False},
            seconds=timeout + 5,
        )
        output = collect(stream, what=what, timeout=timeout)
        result = self._api.call("GET", f"/exec/{made['Id']}/json", what)
        return int(result["ExitCode"]), output

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """The container's output from its beginning (or the last ``tail`` lines)."""
        found = self.inspect_container(container)

        def started(closed: Event) -> None:
            if follow and found.state == "created":
                self._signals.wait((found.id, found.name), lambda: self._is_created(found.id), closed)

        def open_stream() -> tuple[RawStream, bool]:
            params: dict[str, Any] = {
                "stdout": "true",
                "stderr": "true",
                "follow": "true" if follow else "false",
            }
            if tail is not None:
                params["tail"] = tail
            what = f"read the output of {container}"
            try:
                return self._api.stream("GET", f"/containers/{found.id}/logs", what, params=params), False
            except Refused as refused:
                if failures.is_gone(refused):
                    raise failures.missing("container", container, refused) from refused
                raise

        return Logs(started=started, open_stream=open_stream)

    def _is_created(self, container: str) -> bool:
        return self.inspect_container(container).state == "created"

    # --- images

    def image_exists(self, image: str) -> bool:
        """Whether the image is in Podman's store, under this name or as Docker Hub's."""
        return any(self._has_image(name) for name in dict.fromkeys((image, images.full_name(image))))

    def _has_image(self, name: str) -> bool:
        try:
            self._api.call("GET", f"/images/{name}/exists", f"look for the image {name}")
        except Refused as refused:
            if failures.is_gone(refused):
                return False
            raise
        return True

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull an image, telling of progress on the way.

        Through the Docker-compatible call, the only one of Podman's that tells bytes.
        """
        full = images.full_name(image)
        params: dict[str, Any] = {"fromImage": full}
        if images.on_loopback(images.registry_of(image)):
            params["tlsVerify"] = "false"
        headers = {}
        if auth is not None:
            credentials = json.dumps({"username": auth.username, "password": auth.password})
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(credentials.encode()).decode()
        try:
            stream = self._api.stream(
                "POST", "/images/create", f"pull the image {image}", params=params, headers=headers,
                seconds=_PULL_SECONDS, compatible=True,
            )  # fmt: skip
        except Refused as refused:
            raise failures.pull_failure(image, refused.detail) from refused
        follow_pull(image, stream, progress)

    # --- the rest

    def events(self) -> EventStream:
        """Follow events of containers and networks from now on; ends when the connection breaks."""
        filters = json.dumps({"type": ["container", "network"]})
        stream = self._api.stream(
            "GET", "/events", "tell of events", params={"stream": "true", "filters": filters}
        )
        return Events(stream, _event)

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Device classes the host offers by name (CDI's inventory, and GPUs no specification describes)."""
        return cdi.host_devices()

    def close(self) -> None:
        """Release connections."""
        self._api.close()


def _filters(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})


def _network_state(item: Mapping[str, Any]) -> NetworkState:
    subnet: Mapping[str, Any] = next(
        (each for each in item.get("subnets") or () if ":" not in each.get("subnet", "")), {}
    )
    return NetworkState(
        id=item.get("id") or "",
        name=item["name"],
        labels=item.get("labels") or {},
        subnet=subnet.get("subnet", ""),
        gateway=subnet.get("gateway", ""),
    )


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
