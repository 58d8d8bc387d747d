"""Podman as an engine, through its libpod API (4.0 and later, rootful or rootless)."""

from __future__ import annotations

import base64
import json
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Final

from reconciler.engines.discovery import socket_owner
from reconciler.engines.host import cdi, image_names, rootless_limits, subnets, subpath_folders
from reconciler.engines.http import error_mapping
from reconciler.engines.http.container_facts import Remembered, has_labels, label_filter, parse_time
from reconciler.engines.http.error_mapping import Refused
from reconciler.engines.http.http_engine import PULL_SECONDS, WORK_SECONDS, HttpEngine
from reconciler.engines.http.pull_stream import follow_pull
from reconciler.engines.http.verification import (
    Difference,
    differences,
    raise_if_drifted,
    raise_if_unspeakable,
)
from reconciler.engines.podman.conmon_exits import Exits
from reconciler.engines.podman.podman_api import PodmanApi
from reconciler.engines.podman.podman_logs import FileLogs, log_file
from reconciler.engines.podman.podman_responses import container_state_name, engine_info, network_state
from reconciler.engines.podman.podman_specs import container_body
from reconciler.engines.protocol import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    EventStream,
    ExitFacts,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.specs import ContainerSpec, NetworkSpec, VolumeSpec
from reconciler.errors import Conflict, Drifted, NotFound

#: Volume sub-paths came with this version; before it the folder is bind-mounted.
_SUB_PATHS: Final = (5, 4)

#: What Podman gives a network by itself: a /24.
_AUTOMATIC_PREFIX: Final = 24


class PodmanEngine(HttpEngine):
    """Podman at a service's address.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
        subnet_pool: where networks for more containers than a /24 holds get their subnet.
    """

    name = "podman"
    _parts_since = "Podman 5.4"
    _removal: ClassVar[Mapping[str, Any]] = {"depend": "true", "timeout": 0}

    def __init__(self, url: str, *, subnet_pool: Sequence[str] = subnets.DEFAULT_POOL) -> None:
        super().__init__(PodmanApi(url), subnet_pool=subnet_pool)
        self._cdi_asked: Remembered[tuple[str, ...]] = Remembered()
        self._ends = Exits()
        self._rights_known: rootless_limits.Rights | None = None
        self._rights_lock = Lock()

    # --- looking

    def info(self) -> EngineInfo:
        """Ask who is there (see :class:`~reconciler.engines.protocol.Engine`, as for all that follows)."""
        return engine_info(
            self._http.call("GET", "/info", "tell about itself"),
            url=self.url,
            same_mounts=socket_owner.shares_mounts(self.url),
            devices=self.devices(),
        )

    def _listed(self, item: Mapping[str, Any]) -> ContainerState:
        """As the listing has it; whether memory killed one that failed, only an inspect tells, once."""
        started = max(float(item.get("StartedAt") or 0), 0.0) or None
        state = container_state_name(str(item.get("State") or ""), started)
        return ContainerState(
            id=item["Id"],
            name=(item.get("Names") or [""])[0],
            labels=item.get("Labels") or {},
            image=item.get("Image") or "",
            state=state,
            exit=self._exit_of(item) if state == "exited" else None,
            created_at=parse_time(item.get("Created")) if isinstance(item.get("Created"), str) else None,
            started_at=started,
        )

    def _exit_of(self, item: Mapping[str, Any]) -> ExitFacts:
        # Not its word for the state, which becomes another one when Podman has cleaned up.
        version = (item.get("ExitedAt"), item.get("ExitCode"))
        known = self._exits.get(item["Id"], version)
        if known is None:
            known = self._exit_facts(self._inspect(item["Id"]))
            self._exits.put(item["Id"], version, known)
        return known

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks that carry all the labels."""
        listed = self._http.call(
            "GET", "/networks/json", "list networks", params={"filters": label_filter(labels)}
        )
        states = [network_state(item) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes that carry all the labels."""
        listed = self._http.call(
            "GET", "/volumes/json", "list volumes", params={"filters": label_filter(labels)}
        )
        states = [VolumeState(name=item["Name"], labels=item.get("Labels") or {}) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id, with exit facts and, while it runs, its address."""
        found = self._inspect(name)
        state = found.get("State") or {}
        started = parse_time(state.get("StartedAt"))
        word = container_state_name(str(state.get("Status") or ""), started)
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        return ContainerState(
            id=found["Id"],
            name=found.get("Name") or "",
            labels=(found.get("Config") or {}).get("Labels") or {},
            image=found.get("ImageName") or "",
            state=word,
            exit=self._exit_facts(found) if word == "exited" else None,
            address=next((net["IPAddress"] for net in networks.values() if net.get("IPAddress")), ""),
            created_at=parse_time(found.get("Created")),
            started_at=started,
        )

    def _first_process(self, found: Mapping[str, Any]) -> int:
        try:
            return int(Path(found.get("PidFile") or "/nowhere").read_text())
        except (OSError, ValueError):
            return 0

    def inspect_network(self, name: str) -> NetworkState:
        """One network by name, whoever owns it."""
        return network_state(self._get("network", name, f"/networks/{name}/json"))

    # --- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Create a bridge network with DNS; Podman picks the subnet, unless a /24 is too small."""
        body: dict[str, Any] = {
            "name": spec.name,
            "driver": "bridge",
            "dns_enabled": True,
            "labels": dict(spec.labels),
        }
        if subnets.prefix_for(spec.min_addresses) >= _AUTOMATIC_PREFIX:
            return self._create_network(body)
        for subnet in self._subnets(spec.name, spec.min_addresses):
            try:
                return self._create_network(body | {"subnets": [{"subnet": subnet}]})
            except Refused as refused:
                if "subnet" not in refused.detail:
                    raise
        raise subnets.exhausted(spec.name, self._pool)

    def _create_network(self, body: Mapping[str, Any]) -> NetworkState:
        name = str(body["name"])
        try:
            return network_state(
                self._http.call("POST", "/networks/create", f"create the network {name}", body=body)
            )
        except Refused as refused:
            if "subnet" in refused.detail:
                raise
            raise error_mapping.taken("network", name, refused) from refused

    def create_volume(self, spec: VolumeSpec) -> None:
        """Create a volume; one that exists with the same labels is no error."""
        body: dict[str, Any] = {"Name": spec.name, "Labels": {**spec.labels, **spec.owner}, "Driver": "local"}
        if spec.tmpfs_size is not None:
            size = f"size={spec.tmpfs_size}" if spec.tmpfs_size else ""
            body["Options"] = _in_memory(size)
        try:
            made = self._create_volume(spec, body)
        except Refused as refused:
            failure = error_mapping.taken("volume", spec.name, refused)
            if isinstance(failure, Conflict) and spec.is_met_by(self._volume(spec.name)["Labels"]):
                return
            raise failure from refused
        if spec.tmpfs_size is None:
            subpath_folders.open_to_all(made["Mountpoint"])

    def _create_volume(self, spec: VolumeSpec, body: dict[str, Any]) -> Any:
        what = f"create the volume {spec.name}"
        try:
            return self._http.call("POST", "/volumes/create", what, body=body)
        except Refused as refused:
            if not spec.tmpfs_size or "Project Quota" not in refused.detail:
                raise
        # Podman 4 takes any `size` for a quota on disk; pages it leaves to the kernel.
        pages = -(-spec.tmpfs_size // mmap.PAGESIZE)
        body = body | {"Options": _in_memory(f"nr_blocks={pages}")}
        return self._http.call("POST", "/volumes/create", what, body=body)

    def _volume(self, name: str) -> Mapping[str, Any]:
        volume: Mapping[str, Any] = self._get("volume", name, f"/volumes/{name}/json")
        return volume

    # --- containers

    def create_container(self, spec: ContainerSpec) -> str:
        """Create, not start, a container and check by inspect that it is what was asked for."""
        raise_if_unspeakable(spec)
        rights = self._rights()
        spec = replace(
            rootless_limits.allowed(spec, rights), mounts=tuple(self._usable(mount) for mount in spec.mounts)
        )
        inventory = cdi.inventory() if spec.devices else []
        body = container_body(spec, image=spec.image, inventory=inventory, rootless=rights.rootless)
        body |= rootless_limits.user_namespace(spec, rights)
        created = self._create(spec, body)
        identity = str(created["Id"])
        try:
            found = self._inspect(identity)
            raise_if_drifted(spec.name, list(differences(spec, found)), created.get("Warnings") or ())
        except Drifted:
            self.remove_container(identity)
            raise
        self._signals.made(identity, spec.name)
        if body["devices"]:
            asked = tuple(device["path"] for device in body["devices"])
            for key in (identity, spec.name):
                self._cdi_asked.put(key, None, asked)
        return identity

    def _create(self, spec: ContainerSpec, body: dict[str, Any]) -> Any:
        what = f"create the container {spec.name}"
        try:
            return self._http.call("POST", "/containers/create", what, body=body, seconds=WORK_SECONDS)
        except Refused as refused:
            failure = error_mapping.create_failure(refused, name=spec.name, image=spec.image)
            full = image_names.full_name(spec.image)
            if not isinstance(failure, NotFound) or "image" not in failure.message or full == spec.image:
                raise failure from refused
        try:
            # A short name means Docker Hub's, whatever registries.conf says: as on a cluster.
            body = body | {"image": full}
            return self._http.call("POST", "/containers/create", what, body=body, seconds=WORK_SECONDS)
        except Refused as refused:
            raise error_mapping.create_failure(refused, name=spec.name, image=spec.image) from refused

    def _mounts_parts(self) -> bool:
        return self._rights().version >= _SUB_PATHS

    def _rights(self) -> rootless_limits.Rights:
        """What the engine's user may do: asked once, it is settled by how the service was started."""
        with self._rights_lock:
            if self._rights_known is None:
                self._rights_known = rootless_limits.rights(self.info())
            return self._rights_known

    def limitations(self, spec: ContainerSpec) -> tuple[str, ...]:
        """What rootless Podman leaves out of a specification."""
        return rootless_limits.limitations(spec, self._rights())

    def start_container(self, container: str) -> None:
        """Start a created container; asked-for devices are checked, as Podman resolves them only now."""
        super().start_container(container)
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

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        found = self._inspect(container.id)
        file = log_file(found)
        if file is None:
            return super()._open_logs(container, follow=follow, tail=tail)
        labels = (found.get("Config") or {}).get("Labels") or {}
        end = EngineEvent(kind="container", action="die", name=container.name, labels=labels)
        logs = FileLogs(file, follow=follow, tail=tail)
        self._ends.watch(file, end, logs.look)
        return logs

    def events(self) -> EventStream:
        """Follow events; of the ends of containers whose output is followed, sooner than Podman tells."""
        return self._ends.joined(super().events())

    def close(self) -> None:
        """Release connections."""
        self._ends.close()
        super().close()

    # --- images

    def image_exists(self, image: str) -> bool:
        """Whether the image is in Podman's store, under this name or as Docker Hub's."""
        return any(self._has_image(name, f"/images/{name}/exists") for name in _names_of(image))

    def image_user(self, image: str) -> str | None:
        """Whom its containers run as, by its configuration."""
        for name in _names_of(image):
            found = self._image_config(name, f"/images/{name}/json")
            if found is not None:
                return str(found.get("User") or "")
        return None

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull an image, telling of progress on the way.

        Through the Docker-compatible call, the only one of Podman's that tells bytes.
        """
        full = image_names.full_name(image)
        headers = {}
        if auth is not None:
            credentials = json.dumps({"username": auth.username, "password": auth.password})
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(credentials.encode()).decode()
        path, params, compatible = "/images/create", {"fromImage": full}, True
        if image_names.on_loopback(image_names.registry_of(image)):
            # Plain HTTP, as Docker speaks with a registry there; the other call can't be told so.
            path, params, compatible = "/images/pull", {"reference": full, "tlsVerify": "false"}, False
        try:
            stream = self._http.stream(
                "POST", path, f"pull the image {image}", params=params, headers=headers,
                seconds=PULL_SECONDS, compatible=compatible,
            )  # fmt: skip
        except Refused as refused:
            raise error_mapping.pull_failure(image, refused.detail) from refused
        follow_pull(image, stream, progress)


def _names_of(image: str) -> tuple[str, ...]:
    """What Podman may have it under, the name as it was given first."""
    return tuple(dict.fromkeys((image, image_names.full_name(image))))


def _in_memory(size: str) -> dict[str, str]:
    return {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777,{size}".rstrip(",")}
