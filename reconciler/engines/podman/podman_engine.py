"""Podman as an engine, through its libpod API (4.0 and later, rootful or rootless)."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from reconciler.engines.host import cdi, image_references, socket_owner, sub_paths, subnet_pool
from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.object_answers import (
    CREATED,
    IMAGE,
    VOLUME,
    ContainerAnswer,
    CreatedAnswer,
    VolumeAnswer,
)
from reconciler.engines.http.container_json import parse_time
from reconciler.engines.http.container_verification import Difference, raise_if_drifted
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.http_engine import HttpEngine, auth_header
from reconciler.engines.http.http_objects import WORK_SECONDS, Json
from reconciler.engines.http.inspect_cache import InspectCache
from reconciler.engines.http.polled_logs.log_sources import PumpedLog
from reconciler.engines.podman import podman_answers, rootless_limits
from reconciler.engines.podman.conmon_exits import ConmonExitWatcher
from reconciler.engines.podman.podman_api import PodmanApi
from reconciler.engines.podman.podman_create_body import podman_create_body
from reconciler.engines.podman.podman_logs import LogFileStream, find_log_file
from reconciler.engines.podman.podman_responses import parse_info, parse_network, parse_podman_state
from reconciler.engines.protocol import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    EventStream,
    ExitFacts,
    LogSource,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
)
from reconciler.engines.spec_validation import validate_text
from reconciler.engines.specs import ContainerSpec, NetworkSpec, VolumeSpec
from reconciler.errors import Conflict, NotFound

#: Volume sub-paths came with this version; before it the folder is bind-mounted.
_SUB_PATHS: Final = (5, 4)

#: Podman gives a network a /24 by itself.
_AUTOMATIC_PREFIX: Final = 24


class PodmanEngine(HttpEngine):
    """Podman at a service's address.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
    """

    name = "podman"
    _sub_paths_since = "Podman 5.4"
    _remove_params: ClassVar[Json] = {"volumes": "true", "depend": "true", "timeout": 0}
    _json_suffix = "/json"
    _network_state = staticmethod(parse_network)
    _containers_answer = podman_answers.CONTAINERS
    _networks_answer = podman_answers.NETWORKS
    _network_answer = podman_answers.NETWORK
    _volumes_answer = podman_answers.VOLUMES
    _state = staticmethod(parse_podman_state)

    def __init__(self, url: str) -> None:
        super().__init__(PodmanApi(url))
        self._requested_devices: InspectCache[tuple[str, ...]] = InspectCache()
        self._exit_watcher = ConmonExitWatcher()
        self._user_privileges: rootless_limits.UserPrivileges | None = None

    # --- listing and inspecting

    def info(self) -> EngineInfo:
        """Returns facts of the engine (:class:`~reconciler.engines.protocol.Engine` documents all calls)."""
        info = parse_info(
            self._http.call("GET", "/info", "report its version", expect=podman_answers.INFO),
            url=self.url,
            same_mounts=socket_owner.shares_mounts(self.url),
        )
        self._user_privileges = rootless_limits.detect_privileges(info)
        return info

    def _listed_container(self, item: podman_answers.ListedAnswer) -> ContainerState:
        """Returns a container of a listing; only an inspect knows whether a failed one was OOM-killed."""
        started = max(float(item["StartedAt"]), 0.0) or None
        state = self._state(item["State"], started)
        created = item.get("Created")
        return ContainerState(
            id=item["Id"],
            name=next(iter(item["Names"]), ""),
            labels=item.get("Labels") or {},
            state=state,
            exit=self._listed_exit(item) if state == "exited" else None,
            created_at=parse_time(created) if isinstance(created, str) else None,
            started_at=started,
        )

    def _listed_exit(self, item: podman_answers.ListedAnswer) -> ExitFacts:
        # Not its word for the state, which becomes another one when Podman has cleaned up.
        version = (item.get("ExitedAt"), item.get("ExitCode"))
        facts = self._exit_cache.get(item["Id"], version)
        if facts is None:
            facts = self._exit_facts(self._inspect(item["Id"]))
            self._exit_cache.put(item["Id"], facts, version)
        return facts

    def _main_pid(self, inspected: ContainerAnswer) -> int:
        try:
            return int(Path(inspected.get("PidFile") or "/nowhere").read_text())
        except (OSError, ValueError):
            return 0

    # --- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Creates a bridge network with DNS; Podman picks the subnet, unless a /24 is too small."""
        body: dict[str, Any] = {
            "name": spec.name,
            "driver": "bridge",
            "dns_enabled": True,
            "labels": dict(spec.labels),
        }
        if subnet_pool.prefix_length_for(spec.min_addresses) >= _AUTOMATIC_PREFIX:
            return self._create_network(body)
        for subnet in self._free_subnets(spec.name, spec.min_addresses):
            try:
                return self._create_network(body | {"subnets": [{"subnet": subnet}]})
            except ApiError as error:
                if "subnet" not in error.detail:
                    raise
        raise subnet_pool.pool_exhausted(spec.name, self._address_pool)

    def _create_network(self, body: Mapping[str, Any]) -> NetworkState:
        name = str(body["name"])
        try:
            created = parse_network(
                self._http.call(
                    "POST",
                    "/networks/create",
                    f"create the network {name}",
                    expect=podman_answers.NETWORK,
                    body=body,
                )
            )
        except ApiError as error:
            if "subnet" in error.detail:
                raise
            raise error_mapping.create_object_error("network", name, error) from error
        self._check_created("network", name, created.name)
        return created

    def create_volume(self, spec: VolumeSpec) -> None:
        """Creates a volume; one that exists with the same labels is no error."""
        labels = {**spec.labels, **spec.owner_labels}
        body: dict[str, Any] = {"Name": spec.name, "Labels": labels, "Driver": "local"}
        if spec.tmpfs_size is not None:
            body["Options"] = _tmpfs_options(f"size={spec.tmpfs_size}" if spec.tmpfs_size else "")
        try:
            created = self._create_volume(spec, body)
        except ApiError as error:
            failure = error_mapping.create_object_error("volume", spec.name, error)
            if isinstance(failure, Conflict) and spec.matches(self._inspect_volume(spec.name).get("Labels")):
                return
            raise failure from error
        self._check_created_volume(spec.name, created)
        if spec.tmpfs_size is None:
            sub_paths.make_world_writable(created["Mountpoint"])

    def _create_volume(self, spec: VolumeSpec, body: dict[str, Any]) -> VolumeAnswer:
        action = f"create the volume {spec.name}"
        try:
            return self._http.call("POST", "/volumes/create", action, expect=VOLUME, body=body)
        except ApiError as error:
            if not spec.tmpfs_size or "Project Quota" not in error.detail:
                raise
        # Podman 4 takes any `size` for a quota on disk; pages it leaves to the kernel.
        pages = -(-spec.tmpfs_size // mmap.PAGESIZE)
        body = body | {"Options": _tmpfs_options(f"nr_blocks={pages}")}
        return self._http.call("POST", "/volumes/create", action, expect=VOLUME, body=body)

    # --- containers

    def create_container(self, spec: ContainerSpec) -> str:
        """Creates, but does not start, a container, and verifies by inspect that it is as specified."""
        validate_text(spec)
        privileges = self._privileges
        spec = self._resolve_mounts(rootless_limits.without_unsupported_limits(spec, privileges))
        inventory = cdi.read_inventory() if spec.devices else []
        body = podman_create_body(spec, inventory=inventory, rootless=privileges.rootless)
        body |= rootless_limits.user_namespace(spec, privileges)
        container = self._confirm_create(spec, self._create(spec, body))
        self._note_devices(container, spec.name, body)
        return container

    def verify_container(self, container: str, spec: ContainerSpec) -> None:
        """Verifies a container whose create was not answered; its devices when it starts, as a create's."""
        privileges = self._privileges
        supported = rootless_limits.without_unsupported_limits(spec, privileges)
        super().verify_container(container, supported)
        inventory = cdi.read_inventory() if spec.devices else []
        body = podman_create_body(supported, inventory=inventory, rootless=privileges.rootless)
        self._note_devices(container, spec.name, body)

    def _note_devices(self, container: str, name: str, body: Json) -> None:
        if body["devices"]:
            paths = tuple(device["path"] for device in body["devices"])
            for key in (container, name):
                self._requested_devices.put(key, paths)

    def _create(self, spec: ContainerSpec, body: dict[str, Any]) -> CreatedAnswer:
        path, action = "/containers/create", f"create the container {spec.name}"
        try:
            return self._http.call("POST", path, action, expect=CREATED, body=body, seconds=WORK_SECONDS)
        except ApiError as error:
            failure = error_mapping.create_error(error, name=spec.name, image=spec.image)
            full = image_references.full_name(spec.image)
            if not isinstance(failure, NotFound) or "image" not in failure.message or full == spec.image:
                raise failure from error
        try:
            # A short name means Docker Hub's, whatever registries.conf says: as on a cluster.
            body = body | {"image": full}
            return self._http.call("POST", path, action, expect=CREATED, body=body, seconds=WORK_SECONDS)
        except ApiError as error:
            raise error_mapping.create_error(error, name=spec.name, image=spec.image) from error

    def _supports_sub_paths(self) -> bool:
        return self._privileges.version >= _SUB_PATHS

    @property
    def _privileges(self) -> rootless_limits.UserPrivileges:
        """What Podman's user may do, which depends on how the service was started.

        Asked once: for ``/info`` Podman has dpkg or rpm look for the versions of its helpers (half a second).
        """
        return self._user_privileges or rootless_limits.detect_privileges(self.info())

    def limitations(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Returns what Podman, or a rootless one, ignores of a specification."""
        ignored = rootless_limits.list_limitations(spec, self._privileges)
        return (*super().limitations(spec), *ignored)

    def start_container(self, container: str) -> None:
        """Starts a created container and verifies its devices, as Podman resolves them only now."""
        super().start_container(container)
        requested = self._requested_devices.get(container)
        if requested:
            self._verify_devices(container, requested)

    def _verify_devices(self, container: str, requested: tuple[str, ...]) -> None:
        devices = (self._inspect(container).get("HostConfig") or {}).get("Devices") or ()
        present = {device.get("PathInContainer", "") for device in devices}
        nodes = {f"{device.kind}={device.name}": device.nodes for device in cdi.read_inventory()}
        missing = [
            path
            for path in requested
            # A device described elsewhere (or by mounts alone) has no nodes to look for.
            if not set(nodes.get(path, ())) <= present and not (path.startswith("/dev/") and path in present)
        ]
        if missing:
            self.remove_container(container)
            got = ", ".join(sorted(present))
            raise_if_drifted(container, [Difference(field="devices", asked=", ".join(missing), got=got)])

    def _open_logs(self, container: ContainerState, *, follow: bool, tail: int | None) -> LogStream:
        inspected = self._inspect(container.id)
        file = self._open_log_file(inspected, follow=follow, tail=tail)
        return file or super()._open_logs(container, follow=follow, tail=tail)

    def _open_log(self, inspected: Json, *, follow: bool) -> LogSource:
        if (file := self._open_log_file(inspected, follow=follow)) is not None:
            return file
        container, name = str(inspected["Id"]), str(inspected.get("Name") or "")
        # Podman answers with the first line, which may be hours away: a thread waits for it.
        return PumpedLog(lambda: self._stream_logs(container, name, follow=follow, params={}))

    def _open_log_file(
        self, inspected: Json, *, follow: bool, tail: int | None = None
    ) -> LogFileStream | None:
        file = find_log_file(inspected)
        if file is None:
            return None
        labels = inspected["Config"].get("Labels") or {}
        event = EngineEvent(
            kind="container", action="die", name=inspected["Name"].removeprefix("/"), labels=labels
        )
        logs = LogFileStream(file, follow=follow, tail=tail)
        if follow:
            self._exit_watcher.watch(file, event, logs.wake)
        return logs

    def events(self) -> EventStream:
        """Follows events; exits of containers whose output is followed come before Podman's own event."""
        return self._exit_watcher.add_exits(super().events())

    def close(self) -> None:
        """Closes all connections."""
        self._exit_watcher.close()
        super().close()

    # --- images

    def image_exists(self, image: str) -> bool:
        """Reports whether the image is in Podman's store, under this name or as Docker Hub's."""
        return any(self._has_image(name) for name in _names_of(image))

    def _has_image(self, image: str) -> bool:
        try:
            self._http.call("GET", f"/images/{image}/exists", f"look for the image {image}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def image_user(self, image: str) -> str | None:
        """Returns the user in the image's configuration; None where there is no such image."""
        for name in _names_of(image):
            found = self._find_image(name, f"/images/{name}/json", IMAGE)
            if found is not None:
                return (found.get("Config") or {}).get("User") or ""
        return None

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pulls an image and calls ``progress`` whenever it changes.

        Through the Docker-compatible call, the only one of Podman's that reports bytes.
        """
        full = image_references.full_name(image)
        header = auth_header(auth) if auth is not None else ""
        if image_references.is_on_loopback(image_references.registry_of(image)):
            # Plain HTTP, as Docker speaks with a registry there; the other call has no option for it.
            params = {"reference": full, "tlsVerify": "false"}
            self._pull(image, progress, path="/images/pull", params=params, auth_header=header)
        else:
            params = {"fromImage": full}
            self._pull(
                image, progress, path="/images/create", params=params, auth_header=header, compatible=True
            )


def _names_of(image: str) -> tuple[str, ...]:
    """Returns the names under which Podman may have an image, the given one first."""
    return tuple(dict.fromkeys((image, image_references.full_name(image))))


def _tmpfs_options(size: str) -> dict[str, str]:
    return {"type": "tmpfs", "device": "tmpfs", "o": f"mode=1777,{size}".rstrip(",")}
