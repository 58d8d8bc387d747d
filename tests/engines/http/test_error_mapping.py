"""Error messages of the engines, as collected, and the exceptions they become."""

from __future__ import annotations

import pytest

from reconciler.engines.http.error_mapping import (
    ApiError,
    create_error,
    in_use_conflict,
    pull_error,
    start_error,
)
from reconciler.errors import Busy, Conflict, EngineError, NotFound, StartFailed

NAME = "job-node-0"


def api_error(detail: str, status: int = 500) -> ApiError:
    return ApiError("Podman", f"start {NAME}", status=status, detail=detail)


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (
            'runc create failed: unable to start container process: exec: "nocmd": executable file not found',
            "has no command nocmd",
        ),
        ("crun: executable file `nocmd` not found in $PATH: No such file or directory", "has no command nocmd"),
        (
            'failed to create task for container: exec: "/x/y": stat /x/y: no such file or directory: unknown',
            "has no command /x/y",
        ),
        ('exec: "/data": permission denied: OCI permission denied', "cannot execute /data"),
        ("exec /bin/train: exec format error", "cannot run"),
        ("setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=9", "device nvidia.com/gpu=9"),
        ('could not select device driver "" with capabilities: [[gpu]]', "no driver"),
        ("user specified IP address is supported only when connecting to networks with user configured subnets",
         "its network does not have"),
        ("Invalid address 10.1.1.1: It does not belong to any of this network's subnets", "does not have"),
        ("runc create failed: unable to set memory limit to 1048576 (current usage: 2478080)",
         "memory limit that is too small"),
        ("error setting rlimit type 7: operation not permitted", "default limits"),
        ("the requested cgroup controller `cpu` is not available: OCI runtime error", "cgroup controller"),
        ("open /sys/fs/cgroup/user.slice/memory.max: no such file or directory", "cgroup controller"),
        ("statfs /data/set: no such file or directory", "mounts /data/set"),
        ("statfs /root/set: permission denied", "mounts /root/set, which the engine's user may not read"),
        ('invalid mount config for type "bind": bind source path does not exist: /data/set', "mounts /data/set"),
        ('workdir "/etc/passwd" exists on container 1a2, but is not a directory', "working directory"),
        ("Cannot mkdir: /etc/passwd is not a directory", "working directory"),
        ("unable to find user train: no matching entries in passwd file", "user or group"),
        ('"CAP_NOPE": unknown capability', "capability"),
        ("no command or entrypoint provided, and no CMD or ENTRYPOINT from image", "nothing to run"),
        ("OCI runtime error: crun: something new", "container runtime"),
    ],
)  # fmt: skip
def test_a_failed_start_is_explained(detail: str, expected: str) -> None:
    error = start_error(api_error(detail), name=NAME)

    assert isinstance(error, StartFailed)
    assert error.message.startswith(f"Container {NAME} ")
    assert expected in error.message
    assert detail.rstrip(". ") in error.message
    assert error.remedy or expected == "container runtime"


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("IPAM error: requested ip address 10.89.0.2 is already allocated to container ID 1", "an address"),
        ("Address already in use", "an address"),
        ("10.88.1.5 has been allocated to b56f8, duplicate allocation is not allowed", "an address"),
        ("failed to allocate for range 0: requested IP address 10.88.0.8 is not available in range set 10.88.0.1",
         "an address"),
        ("driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
         "a port of the host"),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", "a port of the host"),
        ("cannot join network of a non running container: 9f1", "network of a container that does not run"),
        ("some dependencies of container 2fd7 are not started: 9f1", "network of a container that does not run"),
        ("container is marked for removal and cannot be started", "being removed"),
        ("removal of container 2fd7 is already in progress", "being removed"),
        ("iptables failed: Another app is currently holding the xtables lock; waiting (1s) for it to exit",
         "its network"),
        ("netavark: iptables is locked", "its network"),
        ("failed to create endpoint x on network y: failed to get link by name: Link not found", "its network"),
        ("adding container id to database: database is locked", "its storage"),
        ("layer not known", "its storage"),
        ("runc create failed: unable to start container process: exec /x: text file busy", "its storage"),
        ("crun: cgroup `libpod-1.scope` scope not found: OCI runtime error", "its cgroup"),
        ("sd-bus call: File exists: OCI runtime error", "its cgroup"),
        ("OCI runtime error: runc: Unit libpod-2fd7.scope already exists", "its cgroup"),
        ('container create failed (no logs from conmon): conmon bytes ""', "its cgroup"),
        ("OCI runtime error: crun: writing file `cgroup.procs`: Device or resource busy", "busy"),
        ("fork/exec /usr/bin/runc: resource temporarily unavailable", "busy"),
    ],
)  # fmt: skip
def test_what_an_engine_refuses_for_the_moment_is_no_failure_of_the_container(
    detail: str, expected: str
) -> None:
    error = start_error(api_error(detail), name=NAME)

    assert type(error) is Busy
    assert error.message.startswith(f"Container {NAME} ")
    assert expected in error.message
    assert detail.rstrip(". ") in error.message


def test_the_message_of_a_busy_engine_is_bounded() -> None:
    lines = "\n".join(
        f"Another app is currently holding the xtables lock; waiting ({n}s)" for n in range(999)
    )

    assert len(start_error(api_error(lines), name=NAME).message) < 500


def test_a_network_that_went_before_the_start_is_no_failure_of_the_container() -> None:
    assert type(start_error(api_error("network 9f1 not found", 404), name=NAME)) is Busy


def test_an_unknown_message_stays_an_api_error() -> None:
    error = start_error(api_error("netavark: something new"), name=NAME)

    assert type(error) is ApiError
    assert "something new" in error.message


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("network", '"j-net" has associated containers with it: network is being used'),
        ("network", "error while removing network: network j-net id bba2 has active endpoints"),
        ("volume", "volume j-v is being used by the following container(s): ec25: volume is being used"),
        ("volume", "remove j-v: volume is in use - [5414]"),
    ],
)
def test_what_is_in_use_is_told_from_other_errors(kind: str, detail: str) -> None:
    conflict = in_use_conflict(kind, "j-x", api_error(detail))

    assert conflict is not None
    assert f"The {kind} j-x is in use" in conflict.message
    assert in_use_conflict(kind, "j-x", api_error("boom")) is None


@pytest.mark.parametrize(
    ("detail", "status", "kind", "expected"),
    [
        ("localhost/nope:1: image not known", 500, NotFound, "does not have the image i:1"),
        ("No such image: i:1", 404, NotFound, "does not have the image i:1"),
        ("unable to find network with name or ID nope: network not found", 500, NotFound, "network"),
        ('the container name "x" is already in use by 2fd7', 500, Conflict, "is taken"),
        (
            'Conflict. The container name "/x" is already in use by container "2fd7"',
            409,
            Conflict,
            "is taken",
        ),
        ("boom", 500, EngineError, "boom"),
    ],
)
def test_a_failed_create_is_explained(
    detail: str, status: int, kind: type[EngineError], expected: str
) -> None:
    error = create_error(api_error(detail, status), name=NAME, image="i:1")

    assert type(error) is (ApiError if kind is EngineError else kind)
    assert expected in error.message


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("manifest unknown: manifest unknown", "no such image"),
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            "refused access",
        ),
        ("unauthorized: authentication required", "refused access"),
        ("dial tcp: lookup registry.example on 10.0.0.1:53: no such host", "cannot be resolved"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", "does not answer"),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP"),
        ("toomanyrequests: You have reached your pull rate limit", "rate"),
        ("write /var/lib/x: no space left on device", "disk is full"),
    ],
)
def test_a_failed_pull_names_image_registry_and_reason(detail: str, expected: str) -> None:
    error = pull_error("team/app", detail)

    for part in ("team/app:latest", "from docker.io", expected, detail):
        assert part in error.message
    assert error.message.count("team/app") == 1
    assert error.remedy


@pytest.mark.parametrize(
    "detail",
    [
        "initializing source docker://localhost:1/app:1: pinging container registry: connection refused",
        "initializing source docker://localhost:1/app:1: reading manifest 1 in localhost:1/app: manifest unknown",
        "manifest for localhost:1/app:1 not found: manifest unknown: manifest unknown",
    ],
)
def test_a_failed_pull_names_the_image_once(detail: str) -> None:
    assert pull_error("localhost:1/app:1", detail).message.count("localhost:1") == 1
