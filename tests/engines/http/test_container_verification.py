"""Differences between a specification and a created container."""

from __future__ import annotations

import pytest

from reconciler.engines.http.container_verification import find_differences, raise_if_drifted
from reconciler.engines.http.resource_limits import cpu_quota
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import Drifted


def spec(**fields: object) -> ContainerSpec:
    return ContainerSpec(name="c", image="i", labels={}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "got", "expected"),
    [
        (spec(memory_limit=64), {"HostConfig": {"Memory": 0}}, "memory limit: asked for 64 bytes, got none"),
        (spec(shm_size=64), {"HostConfig": {"ShmSize": 32}}, "size of /dev/shm: asked for 64 bytes, got 32"),
        (spec(cpu_limit=1.5), {"HostConfig": {"CpuQuota": 0}}, "cpu limit: asked for 1.5 CPUs, got none"),
        (spec(network="n"), {"NetworkSettings": {"Networks": {"bridge": {}}}}, "network: asked for n, got bridge"),
        (
            spec(mounts=(Mount(kind="bind", source="/a", target="/b/"),)),
            {"Mounts": []},
            "mount: asked for /a at /b, got none",
        ),
        (
            spec(mounts=(Mount(kind="volume", source="v", target="/b", read_only=True),)),
            {"Mounts": [{"Destination": "/b", "RW": True}]},
            "mount: asked for /b read-only, got writable",
        ),
        (spec(mounts=(Mount(kind="tmpfs", target="/b"),)), {"HostConfig": {}}, "mount: asked for tmpfs at /b"),
    ],
)  # fmt: skip
def test_a_difference_names_the_field(asked: ContainerSpec, got: dict[str, object], expected: str) -> None:
    found = list(find_differences(asked, got))

    with pytest.raises(Drifted, match="Container c is not what was asked for") as drifted:
        raise_if_drifted("c", found, ["Your kernel does not support it."])
    assert expected in drifted.value.message
    assert "does not support" in drifted.value.message


def test_a_container_as_specified_has_no_difference() -> None:
    asked = spec(
        memory_limit=64, cpu_limit=1.5, shm_size=32, network="n",
        mounts=(Mount(kind="bind", source="/a", target="/b/", read_only=True), Mount(kind="tmpfs", target="/t")),
    )  # fmt: skip
    got = {
        "HostConfig": {"Memory": 64, "CpuQuota": 150000, "CpuPeriod": 100000, "ShmSize": 32, "Tmpfs": {"/t": ""}},
        "NetworkSettings": {"Networks": {"n": {}}},
        "Mounts": [{"Destination": "/b", "RW": False}],
    }  # fmt: skip

    assert list(find_differences(asked, got)) == []


def test_requests_are_not_compared() -> None:
    asked = spec(cpu_shares=512, memory_reservation=64)

    assert list(find_differences(asked, {"HostConfig": {"CpuShares": 0, "MemoryReservation": 0}})) == []


def test_the_hosts_shared_memory_is_not_compared() -> None:
    assert list(find_differences(spec(shm_size=64, host_ipc=True), {"HostConfig": {"ShmSize": 0}})) == []


def test_a_cpu_quota_is_at_least_one_millisecond() -> None:
    assert [cpu_quota(0.0001), cpu_quota(0.5), cpu_quota(2)] == [1000, 50000, 200000]
