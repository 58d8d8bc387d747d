"""OOM kills in the kernel's log."""

from __future__ import annotations

import os
import time
from pathlib import Path

from reconciler.engines.host.oom_kills import KernelOomLog

CONTAINER = "9b4716f92c172cf6fbdc176f49500f8f"


def write(log: Path, *messages: str, age: float = 1) -> None:
    moment = int((time.clock_gettime(time.CLOCK_MONOTONIC) - age) * 1e6)
    with log.open("a") as file:
        file.writelines(f"6,7193,{moment},-;{message}\n" for message in messages)


def killed(log: KernelOomLog, *, pid: int = 0, ended: float | None = None) -> bool:
    now = time.time()
    return log.has_kill(CONTAINER, pid=pid, started=now - 60, finished=ended or now)


def one(path: Path, message: str, **when: float) -> KernelOomLog:
    """A log of one message: an ordinary file is not read record by record."""
    write(path, message, **when)
    return KernelOomLog(path)


def test_a_kill_of_the_main_process_is_found(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Memory cgroup out of memory: Killed process 20933 (python3) total-vm:1kB")

    assert killed(log, pid=20933)
    assert not killed(log, pid=20934)
    assert not killed(log, pid=0)


def test_a_kill_in_the_memory_group_is_found(tmp_path: Path) -> None:
    group = f"/libpod_parent/libpod-{CONTAINER}"
    log = one(
        tmp_path / "kmsg",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg={group},task_memcg={group},task=sh,pid=5",
    )

    assert killed(log)


def test_a_reused_pid_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Memory cgroup out of memory: Killed process 7 (sh)", age=3600)

    assert not killed(log, pid=7)


def test_a_kill_for_the_hosts_memory_does_not_count(tmp_path: Path) -> None:
    log = one(tmp_path / "kmsg", "Out of memory: Killed process 7 (sh) total-vm:1kB")

    assert not killed(log, pid=7)


def test_an_unreadable_log_has_no_kills(tmp_path: Path) -> None:
    assert not killed(KernelOomLog(tmp_path / "missing"), pid=7)
    os.mkfifo(tmp_path / "empty")
    assert not killed(KernelOomLog(tmp_path / "empty"), pid=7)
