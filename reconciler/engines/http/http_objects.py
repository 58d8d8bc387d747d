"""Listing, inspecting and removing containers, networks and volumes, which both HTTP APIs do alike."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from reconciler.engines.http import error_mapping
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.http_api import HttpApi
from reconciler.engines.protocol import ContainerState, NetworkState, VolumeState
from reconciler.errors import NotFound

S = TypeVar("S", NetworkState, VolumeState)
Json = Mapping[str, Any]

#: Seconds for an engine under load to create, start or remove a container.
WORK_SECONDS: Final = 180.0

#: Podman fails a whole inspect or listing when a process exits in the middle of it.
_EXIT_RACE: Final = "no such process"
_ATTEMPTS: Final = 5
#: Seconds between attempts to remove a container that is just exiting.
_REMOVE_PAUSE: Final = 0.2


class HttpObjects(ABC):
    """What an engine has; :class:`~reconciler.engines.protocol.Engine` documents the calls."""

    #: Appended to a path to list or inspect networks and volumes.
    _json_suffix = ""

    def __init__(self, api: HttpApi) -> None:
        self.url = api.url
        self._http = api

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Returns all containers with the labels, by one listing; what it lacks is inspected once."""
        params = {"all": "true", "filters": _label_filter(labels)}
        states = []
        for item in self._get("/containers/json", "list containers", params) or ():
            if not _has_labels(item.get("Labels"), labels):
                continue
            try:
                states.append(self._listed_container(item))
            except NotFound:
                continue  # removed between the listing and the inspect
        return states

    @abstractmethod
    def _listed_container(self, item: Json) -> ContainerState:
        """Returns a container of a listing.

        Raises:
            NotFound: it has been removed meanwhile.
        """

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """Returns all networks that carry all the labels."""
        return self._list("networks", labels, self._network_state)

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """Returns all volumes that carry all the labels."""
        return self._list("volumes", labels, _volume_state)

    def _list(self, kinds: str, labels: Mapping[str, str], parse: Callable[[Json], S]) -> list[S]:
        path, params = f"/{kinds}{self._json_suffix}", {"filters": _label_filter(labels)}
        listed = self._http.call("GET", path, f"list {kinds}", params=params)
        if isinstance(listed, dict):
            listed = listed.get("Volumes")  # Docker's
        states = [parse(item) for item in listed or ()]
        return [state for state in states if _has_labels(state.labels, labels)]

    @staticmethod
    @abstractmethod
    def _network_state(item: Json) -> NetworkState:
        """Returns a network of a listing or an inspect."""

    def inspect_network(self, name: str) -> NetworkState:
        """Returns a network by name, whoever owns it."""
        return self._network_state(self._inspect_object("network", name, self._json_suffix))

    def _inspect_volume(self, name: str) -> Any:
        return self._inspect_object("volume", name, self._json_suffix)

    def _inspect(self, container: str) -> Any:
        return self._inspect_object("container", container, "/json")

    def _inspect_object(self, kind: str, name: str, suffix: str) -> Any:
        """Returns the JSON of an inspect.

        Raises:
            NotFound: there is no such object.
        """
        with error_mapping.raising_not_found(kind, name):
            return self._get(f"/{kind}s/{name}{suffix}", f"inspect the {kind} {name}")

    def _get(self, path: str, action: str, params: Json | None = None) -> Any:
        """Sends a GET, again where it met a process that was just exiting."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._http.call("GET", path, action, params=params)
            except ApiError as error:
                if _EXIT_RACE not in error.detail:
                    raise
        return self._http.call("GET", path, action, params=params)

    def remove_network(self, name: str) -> None:
        """Removes a network; a missing one is no error."""
        self._remove("network", name, {})

    def remove_volume(self, name: str) -> None:
        """Removes a volume; a missing one is no error."""
        self._remove("volume", name, {})

    def _remove(self, kind: str, name: str, params: Json) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._delete(f"/{kind}s/{name}", f"remove the {kind} {name}", params)
            except ApiError as error:
                if error_mapping.is_removed(error):
                    return
                if kind != "container" and (conflict := error_mapping.in_use_conflict(kind, name, error)):
                    raise conflict from error
                if kind != "container" or attempt == _ATTEMPTS - 1 or not error_mapping.is_exiting(error):
                    raise
                time.sleep(_REMOVE_PAUSE)
            else:
                return

    def _delete(self, path: str, action: str, params: Json) -> None:
        """Sends a DELETE; Podman reports the failure of one of several objects in the body of a success."""
        reports = self._http.call("DELETE", path, action, params=params, seconds=WORK_SECONDS)
        for report in reports if isinstance(reports, list) else ():
            if detail := report.get("Err"):
                error = ApiError(self._http.engine, action, status=0, detail=str(detail))
                if not error_mapping.is_removed(error):
                    raise error


def _has_labels(labels: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Reports whether all the wanted labels are there (engines differ in how they join filters)."""
    return all((labels or {}).get(key) == value for key, value in wanted.items())


def _label_filter(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})


def _volume_state(item: Json) -> VolumeState:
    return VolumeState(name=item["Name"], labels=item.get("Labels") or {})
