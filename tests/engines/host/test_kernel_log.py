"""Kills for memory, as the kernel's log tells of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from reconciler.engines.host.kernel_log import KernelLog

CONTAINER = "9b4716f92c172cf6fbdc176f49500f8f"


def write(log: Path, *messages: str, age: float = 1) -> None:
    moment = int((time.clock_gettime(time.CLOCK_MONOTONIC) - age) * 1e6)
    with log.open("a") as file:
        file.writelines(f"6,7193,{moment},-;{message}\n" for message in messages)


def killed(log: KernelLog, *, pid: int = 0, ended: float | None = None) -> bool:
    now = time.time()
    return log.killed(CONTAINER, pid=pid, started=now - 60, finished=ended or now)


def one(path: Path, message: str, **when: float) -> KernelLog:
    """A log of one message: an ordinary file is not read record by record."""
    write(path, message, **when)
    return KernelLog(path)


def test_a_kill_is_known_by_the_first_process(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Memory cgroup out of memory: Killed process 20933 (python3) total-vm:1kB")

    assert killed(log, pid=20933)
    assert not killed(log, pid=20934)
    assert not killed(log, pid=0)


def test_a_kill_is_known_by_the_memory_group(tmp_path: Path) -> None:
    group = f"/libpod_parent/libpod-{CONTAINER}"
    log = one(
        tmp_path / "kmsg",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg={group},task_memcg={group},task=sh,pid=5",
    )

    assert killed(log)


def test_a_process_number_that_comes_again_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Memory cgroup out of memory: Killed process 7 (sh)", age=3600)

    assert not killed(log, pid=7)


def test_a_kill_for_another_reason_is_none(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Out of memory: Killed process 7 (sh) total-vm:1kB")

    assert not killed(log, pid=7)


def test_a_log_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    assert not killed(KernelLog(tmp_path / "missing"), pid=7)
    os.mkfifo(tmp_path / "empty")
    assert not killed(KernelLog(tmp_path / "empty"), pid=7)
