"""Limits and the size of shared memory take effect."""

from __future__ import annotations

import pytest

from tests.support.benches import Bench

pytestmark = pytest.mark.engine

MEMORY_FILES = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
CPU_FILES = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max"


def test_limits_are_set_in_the_cgroup(containers: Bench) -> None:
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


def test_a_cpu_limit_above_the_machines_is_accepted(containers: Bench) -> None:
    assert containers.run("echo runs", cpu_limit=512) == "runs\n"


def test_limits_that_cannot_be_set_are_ignored_with_a_sentence(podman: Bench) -> None:
    if podman.can.limits:
        pytest.skip("this engine sets limits")
    limits = {"memory_limit": 64 << 20, "memory_reservation": 32 << 20, "cpu_limit": 0.5, "cpu_shares": 512}

    sentences = podman.engine.limitations(podman.spec(**limits))

    assert podman.run("echo runs", **limits) == "runs\n"
    assert [sentence.split(":")[0] for sentence in sentences] == ["Limits on cpu and memory are not enforced"]


def test_dev_shm_has_the_size(containers: Bench) -> None:
    printed = containers.run("df -k /dev/shm | tail -1 | awk '{print $2}'", shm_size=96 << 20)

    assert int(printed) == 96 << 10
