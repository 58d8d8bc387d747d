"""The shapes of answers: what engines of all versions send is let through, the rest is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.engines.docker import docker_answers
from reconciler.engines.http.calls.answer_shapes import Shape, WrongAnswer
from reconciler.engines.http.calls.object_answers import CONTAINER, EVENT, PULL, REMOVALS, VOLUME
from reconciler.engines.podman import podman_answers

ID = "1f50cd0c09489929eb911ef5779fc67c62189ff7b44e63bccff2385d6b13d8a7"
NEVER = "0001-01-01T00:00:00Z"
STATE: dict[str, Any] = {
    "Status": "exited", "ExitCode": 3, "OOMKilled": False, "StartedAt": "2026-12-01T10:12:59.004723442+02:00",
    "FinishedAt": "2026-12-01T10:13:59Z", "Error": "", "Pid": 0, "Health": {"Log": None},
}  # fmt: skip
INSPECT: dict[str, Any] = {
    "Id": ID, "Name": "/c", "Created": "2026-12-01T10:12:59.322829274Z", "State": STATE,
    "Config": {"Labels": None, "Tty": False}, "HostConfig": {"CapAdd": None, "Devices": None, "Tmpfs": None},
    "Mounts": [], "NetworkSettings": {"Networks": {"n": {"IPAMConfig": None, "IPAddress": ""}, "m": None}},
}  # fmt: skip


def read(shape: Shape[Any], value: Any) -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return shape.read(body, engine="Podman", action="do it")


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        (CONTAINER, INSPECT),
        (CONTAINER, INSPECT | {"State": STATE | {"FinishedAt": NEVER, "ExitCode": 4294967295, "Error": None}}),
        (CONTAINER, INSPECT | {"Mounts": None, "HostConfig": None, "NetworkSettings": {"Networks": None}}),
        (podman_answers.CONTAINERS, []),
        (
            podman_answers.CONTAINERS,
            [{"Id": ID, "Names": [], "Labels": None, "State": "exited", "StartedAt": -62135596800, "Created": 5}],
        ),
        (docker_answers.CONTAINERS, [{"Id": ID, "Names": None, "Labels": {}, "State": "dead", "Created": 5}]),
        (docker_answers.VOLUMES, {"Volumes": None, "Warnings": None}),
        (VOLUME, {"Name": "v", "Mountpoint": "", "Labels": None, "Options": None}),
        (docker_answers.NETWORKS, [{"Id": "x1", "Name": "host", "Labels": None, "IPAM": {"Config": None}}]),
        (podman_answers.NETWORKS, [{"name": "p", "id": "2f", "subnets": [{"subnet": "fd00::/64"}]}, {"name": "n"}]),
        (REMOVALS, b""),
        (REMOVALS, [{"Id": ID, "Err": None}, {"Id": ID, "Err": {}}]),
        (EVENT, {"Type": "image", "Action": "pull", "Actor": None}),
        (EVENT, {"Type": "container", "Actor": {"ID": ID, "Attributes": None}, "HealthStatus": ""}),
        (PULL, {"status": "Downloading", "progressDetail": {}, "id": "1f"}),
    ],
)  # fmt: skip
def test_what_engines_send_is_let_through(shape: Shape[Any], answer: Any) -> None:
    read(shape, answer)


@pytest.mark.parametrize(
    ("shape", "answer", "problem"),
    [
        (CONTAINER, {}, "`Id` is missing"),
        (CONTAINER, [], "it should be an object, and is a list of 0"),
        (CONTAINER, INSPECT | {"State": None}, "`State` should be an object, and is null"),
        (CONTAINER, INSPECT | {"State": STATE | {"Status": ""}}, "`State.Status` should have at least 1 character"),
        (CONTAINER, INSPECT | {"State": STATE | {"ExitCode": "0"}}, "`State.ExitCode` should be a valid integer"),
        (CONTAINER, INSPECT | {"State": STATE | {"ExitCode": 10**30}}, "`State.ExitCode` should be less than"),
        (CONTAINER, INSPECT | {"State": STATE | {"FinishedAt": "2026-13-45T99:00:00Z"}}, "`State.FinishedAt`"),
        (CONTAINER, INSPECT | {"Config": {"Labels": {"a": 1}}}, "`Config.Labels.a` should be a valid string"),
        (docker_answers.CONTAINERS, None, "it should be a valid array, and is null"),
        (docker_answers.CONTAINERS, [{"Id": "../a", "State": "running"}], "`0.Id` should match pattern"),
        (podman_answers.CONTAINERS, [1, None], "`0` should be an object, and is '1'"),
        (podman_answers.NETWORK, {"name": "n", "subnets": [{"subnet": "10.0.0.0/99"}]}, "`subnets.0.subnet`"),
        (docker_answers.VERSION, {"ApiVersion": "new"}, "`ApiVersion` should match pattern"),
        (CONTAINER, b"<html>" + b"x" * 1000, "it is no JSON, or none that can be read; it begins with '<html>"),
        (CONTAINER, b"[" * 100_000, "it is no JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_refused_with_a_sentence(shape: Shape[Any], answer: Any, problem: str) -> None:
    with pytest.raises(
        WrongAnswer, match="Podman gave an answer that cannot be understood when it was to do it"
    ) as e:
        read(shape, answer)

    assert problem in e.value.problem
    assert len(e.value.problem) < 300


def test_a_message_quotes_no_secret() -> None:
    answer = INSPECT | {"Config": ["PASSWORD=swordfish"] * 3}

    with pytest.raises(WrongAnswer) as error:
        read(CONTAINER, answer)

    assert "swordfish" not in str(error.value)
