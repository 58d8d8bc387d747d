"""The engines' words, as collected, and what they are taken to mean."""

from __future__ import annotations

import pytest

from reconciler.engines.host import image_names
from reconciler.engines.http.error_mapping import Refused, create_failure, pull_failure, start_failure
from reconciler.errors import Conflict, EngineError, NotFound, StartFailed

NAME = "job-node-0"


def refused(detail: str, status: int = 500) -> Refused:
    return Refused("Podman", f"start {NAME}", status=status, detail=detail)


@pytest.mark.parametrize(
    ("detail", "says"),
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
        ("IPAM error: requested ip address 10.89.0.2 is already allocated to container ID 1", "already in use"),
        ("Address already in use", "already in use"),
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
def test_a_failed_start_is_explained(detail: str, says: str) -> None:
    failure = start_failure(refused(detail), name=NAME)

    assert isinstance(failure, StartFailed)
    assert failure.message.startswith(f"Container {NAME} ")
    assert says in failure.message
    assert detail.rstrip(". ") in failure.message
    assert failure.remedy or says == "container runtime"


def test_what_no_rule_knows_passes() -> None:
    failure = start_failure(refused("netavark: iptables is locked"), name=NAME)

    assert type(failure) is Refused
    assert "iptables is locked" in failure.message


@pytest.mark.parametrize(
    ("detail", "status", "kind", "says"),
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
def test_a_failed_create_is_explained(detail: str, status: int, kind: type[EngineError], says: str) -> None:
    failure = create_failure(refused(detail, status), name=NAME, image="i:1")

    assert type(failure) is (Refused if kind is EngineError else kind)
    assert says in failure.message


@pytest.mark.parametrize(
    ("detail", "says"),
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
def test_a_failed_pull_names_image_registry_and_reason(detail: str, says: str) -> None:
    failure = pull_failure("team/app", detail)

    for part in ("team/app", "docker.io/team/app:latest", "from docker.io", says, detail):
        assert part in failure.message
    assert failure.remedy


@pytest.mark.parametrize(
    ("image", "registry", "full"),
    [
        ("python", "docker.io", "docker.io/library/python:latest"),
        ("pytorch/pytorch:2.7.1", "docker.io", "docker.io/pytorch/pytorch:2.7.1"),
        ("docker.io/python:3", "docker.io", "docker.io/library/python:3"),
        ("ghcr.io/a/b/c", "ghcr.io", "ghcr.io/a/b/c:latest"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "127.0.0.1:5000/x:latest"),
        ("localhost/x:base", "localhost", "localhost/x:base"),
        ("x@sha256:abc", "docker.io", "docker.io/library/x@sha256:abc"),
        ("x:1@sha256:abc", "docker.io", "docker.io/library/x:1@sha256:abc"),
    ],
)
def test_names_of_images_in_full(image: str, registry: str, full: str) -> None:
    assert image_names.registry_of(image) == registry
    assert image_names.full_name(image) == full


def test_registries_on_loopback_may_speak_plain_http() -> None:
    assert all(map(image_names.on_loopback, ("127.0.0.1:5000", "localhost:5000", "localhost", "[::1]:5000")))
    assert not any(map(image_names.on_loopback, ("docker.io", "10.0.0.1:5000", "localhost.example")))
