"""Limits and shared memory take effect, and a difference is found."""

from __future__ import annotations

import pytest

from reconciler.engines.http.verification import cpu_quota, differences, raise_if_drifted
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import Drifted
from tests.support.benches import Bench

MEMORY_FILES = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
CPU_FILES = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max"


@pytest.mark.engine
def test_limits_are_the_kernels(containers: Bench) -> None:
    if not containers.can.limits:
        pytest.skip("this engine's user was given no cgroup controllers")
    printed = containers.run(
        f"cat {MEMORY_FILES} 2>/dev/null; cat {CPU_FILES} 2>/dev/null; true",
        memory_limit=64 << 20,
        memory_reservation=32 << 20,
        cpu_limit=0.5,
        cpu_shares=512,
    )

    memory, cpu = printed.splitlines()
    assert int(memory) == 64 << 20
    assert cpu.split()[0] == "50000"


@pytest.mark.engine
def test_a_limit_above_the_machine_is_taken(containers: Bench) -> None:
    assert containers.run("echo runs", cpu_limit=512) == "runs\n"


@pytest.mark.engine
def test_limits_that_cannot_be_set_are_left_out_and_said(podman: Bench) -> None:
    if podman.can.limits:
        pytest.skip("this engine sets limits")
    limits = {"memory_limit": 64 << 20, "memory_reservation": 32 << 20, "cpu_limit": 0.5, "cpu_shares": 512}

    said = podman.engine.limitations(podman.spec(**limits))

    assert podman.run("echo runs", **limits) == "runs\n"
    assert [sentence.split(":")[0] for sentence in said] == ["Limits on cpu and memory are not enforced"]


@pytest.mark.engine
def test_dev_shm_has_its_size(containers: Bench) -> None:
    printed = containers.run("df -k /dev/shm | tail -1 | awk '{print $2}'", shm_size=96 << 20)

    assert int(printed) == 96 << 10


def spec(**fields: object) -> ContainerSpec:
    return ContainerSpec(name="c", image="i", labels={}, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "got", "says"),
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
def test_a_difference_names_the_field(asked: ContainerSpec, got: dict[str, object], says: str) -> None:
    found = list(differences(asked, got))

    with pytest.raises(Drifted, match="Container c is not what was asked for") as drifted:
        raise_if_drifted("c", found, ["Your kernel does not support it."])
    assert says in drifted.value.message
    assert "does not support" in drifted.value.message


def test_what_was_asked_for_is_no_difference() -> None:
    asked = spec(
        memory_limit=64, cpu_limit=1.5, shm_size=32, network="n",
        mounts=(Mount(kind="bind", source="/a", target="/b/", read_only=True), Mount(kind="tmpfs", target="/t")),
    )  # fmt: skip
    got = {
        "HostConfig": {"Memory": 64, "CpuQuota": 150000, "CpuPeriod": 100000, "ShmSize": 32, "Tmpfs": {"/t": ""}},
        "NetworkSettings": {"Networks": {"n": {}}},
        "Mounts": [{"Destination": "/b", "RW": False}],
    }  # fmt: skip

    assert list(differences(asked, got)) == []


def test_requests_are_wishes() -> None:
    asked = spec(cpu_shares=512, memory_reservation=64)

    assert list(differences(asked, {"HostConfig": {"CpuShares": 0, "MemoryReservation": 0}})) == []


def test_the_hosts_shared_memory_is_not_compared() -> None:
    assert list(differences(spec(shm_size=64, host_ipc=True), {"HostConfig": {"ShmSize": 0}})) == []


def test_a_quota_is_never_below_what_the_kernel_takes() -> None:
    assert [cpu_quota(0.0001), cpu_quota(0.5), cpu_quota(2)] == [1000, 50000, 200000]
