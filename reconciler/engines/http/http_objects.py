"""Listing, inspecting and removing containers, networks and volumes, which both HTTP APIs do alike."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, ClassVar, Final, TypeVar

from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.answer_shapes import Shape, WrongAnswer
from reconciler.engines.http.calls.object_answers import (
    CONTAINER,
    REMOVALS,
    VOLUME,
    ContainerAnswer,
    VolumeAnswer,
)
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.http_api import HttpApi
from reconciler.engines.protocol import ContainerState, NetworkState, VolumeState
from reconciler.errors import NotFound

S = TypeVar("S", NetworkState, VolumeState)
T = TypeVar("T")
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
    #: The shapes of answers that each engine has its own of.
    _containers_answer: ClassVar[Shape[Any]]
    _networks_answer: ClassVar[Shape[Any]]
    _network_answer: ClassVar[Shape[Any]]
    _volumes_answer: ClassVar[Shape[Any]]

    def __init__(self, api: HttpApi) -> None:
        self.url = api.url
        self._http = api

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Returns all containers with the labels, by one listing; what it lacks is inspected once."""
        params, action = {"all": "true", "filters": _label_filter(labels)}, "list containers"
        states = []
        for item in self._get("/containers/json", action, self._containers_answer, params):
            if not has_labels(item.get("Labels"), labels):
                if labels and not any((item.get("Labels") or {}).get(key) == labels[key] for key in labels):
                    # Asked for by its labels: what it says of them, or of all else, is not so.
                    problem = f"the container {item['Id'][:12]} has none of the labels that were asked for"
                    raise WrongAnswer(self._http.engine, action, problem)
                continue
            try:
                states.append(self._listed_container(item))
            except NotFound:
                continue  # removed between the listing and the inspect
        return states

    @abstractmethod
    def _listed_container(self, item: Any) -> ContainerState:
        """Returns a container of a listing.

        Raises:
            NotFound: it has been removed meanwhile.
        """

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """Returns all networks that carry all the labels."""
        found = self._list("networks", labels, self._networks_answer, self._network_state)
        for network in found:
            # One that was not asked for by its labels is somebody else's, such as Docker's own `host`.
            if labels and not network.subnet:
                problem = f"the network {network.name} has no IPv4 subnet"
                raise WrongAnswer(self._http.engine, "list networks", problem)
        return found

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """Returns all volumes that carry all the labels."""
        return self._list("volumes", labels, self._volumes_answer, _volume_state)

    def _list(
        self, kinds: str, labels: Mapping[str, str], shape: Shape[Any], parse: Callable[[Any], S]
    ) -> list[S]:
        path, params = f"/{kinds}{self._json_suffix}", {"filters": _label_filter(labels)}
        listed = self._http.call("GET", path, f"list {kinds}", expect=shape, params=params)
        if isinstance(listed, dict):
            listed = listed["Volumes"]  # Docker's
        states = [parse(item) for item in listed or ()]
        return [state for state in states if has_labels(state.labels, labels)]

    @staticmethod
    @abstractmethod
    def _network_state(item: Any) -> NetworkState:
        """Returns a network of a listing or an inspect."""

    def inspect_network(self, name: str) -> NetworkState:
        """Returns a network by name, whoever owns it."""
        found = self._inspect_object("network", name, self._json_suffix, self._network_answer)
        state = self._network_state(found)
        self._check_identity("network", name, state.id, state.name)
        return state

    def _inspect_volume(self, name: str) -> VolumeAnswer:
        found = self._inspect_object("volume", name, self._json_suffix, VOLUME)
        self._check_identity("volume", name, found["Name"])
        return found

    def _inspect(self, container: str) -> ContainerAnswer:
        found = self._inspect_object("container", container, "/json", CONTAINER)
        self._check_identity("container", container, found["Id"], found["Name"].removeprefix("/"))
        return found

    def _inspect_object(self, kind: str, name: str, suffix: str, shape: Shape[T]) -> T:
        """Returns the JSON of an inspect.

        Raises:
            NotFound: there is no such object.
        """
        with error_mapping.raising_not_found(kind, name):
            return self._get(f"/{kind}s/{name}{suffix}", f"inspect the {kind} {name}", shape)

    def _check_identity(self, kind: str, asked: str, *names: str) -> None:
        """Checks that an answer is about what was asked for: one of another call would be believed."""
        if not any(name == asked or name.startswith(asked) for name in names):
            problem = f"it is about the {kind} {names[-1]}"
            raise WrongAnswer(self._http.engine, f"inspect the {kind} {asked}", problem)

    def _check_created(self, kind: str, asked: str, name: str, *, has_labels: bool = True) -> None:
        """Checks that a create's answer names what was asked for: anything else is somebody's, and stays."""
        if name != asked or not has_labels:
            problem = f"it names the {kind} {name}" + ("" if has_labels else ", without the labels asked for")
            raise WrongAnswer(self._http.engine, f"create the {kind} {asked}", problem)

    def _check_created_volume(self, asked: str, volume: VolumeAnswer) -> None:
        """Checks that a created volume and its folder are that volume's: the folder's mode is changed."""
        self._check_created("volume", asked, volume["Name"])
        if PurePath(volume["Mountpoint"]).parent.name != asked:
            problem = f"its folder {volume['Mountpoint']} is not that volume's"
            raise WrongAnswer(self._http.engine, f"create the volume {asked}", problem)

    def _get(self, path: str, action: str, shape: Shape[T], params: Json | None = None) -> T:
        """Sends a GET, again where it met a process that was just exiting."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._http.call("GET", path, action, expect=shape, params=params)
            except ApiError as error:
                if _EXIT_RACE not in error.detail:
                    raise
        return self._http.call("GET", path, action, expect=shape, params=params)

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
        reports = self._http.call(
            "DELETE", path, action, expect=REMOVALS, params=params, seconds=WORK_SECONDS
        )
        for report in reports or ():
            if detail := report.get("Err"):
                error = ApiError(self._http.engine, action, status=0, detail=str(detail))
                if not error_mapping.is_removed(error):
                    raise error


def has_labels(labels: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Reports whether all the wanted labels are there (engines differ in how they join filters)."""
    return all((labels or {}).get(key) == value for key, value in wanted.items())


def _label_filter(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})


def _volume_state(item: VolumeAnswer) -> VolumeState:
    return VolumeState(name=item["Name"], labels=item.get("Labels") or {})
