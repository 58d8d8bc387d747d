"""A container's life on every engine: start, end, stop, exec, pause."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.errors import Conflict, EngineError, NotFound, StartFailed
from tests.support.benches import Bench

pytestmark = pytest.mark.engine


def test_a_created_container_has_not_run(bench: Bench) -> None:
    container = bench.create(script="echo ran")

    found = bench.state(container)

    assert (found.name, found.state) == (bench.name("c"), "created")
    assert found.started_at is None
    assert found.exit is None
    assert found.labels.items() >= bench.labels.items()


def test_exit_status_and_times_are_reported(bench: Bench) -> None:
    before = time.time()

    container = bench.start(script="exit 7")
    ended = bench.ended(container)

    assert ended.exit is not None
    assert ended.exit.code == 7
    assert not ended.exit.oom_killed
    assert ended.exit.finished_at is not None
    assert before - 2 < ended.exit.finished_at < time.time() + 2
    assert ended.started_at is not None
    assert before - 2 < ended.started_at <= ended.exit.finished_at + 1


def test_listing_and_inspect_agree(bench: Bench) -> None:
    container = bench.start(script="exit 3")

    listed = bench.ended(container)
    inspected = bench.engine.inspect_container(bench.name("c"))

    assert inspected.id == listed.id
    assert inspected.name == listed.name
    assert inspected.exit == listed.exit
    assert inspected.labels == listed.labels


def test_a_running_container_has_its_start_time(bench: Bench) -> None:
    container = bench.start(script="sleep 60")

    running = bench.awaited(container, "running")

    assert running.exit is None
    assert running.started_at is not None
    assert abs(running.started_at - time.time()) < 20


def test_a_fatal_signal_is_in_the_exit_status(bench: Bench) -> None:
    container = bench.start(script="exec sleep 60")
    bench.awaited(container, "running")

    bench.kill(container)

    ended = bench.ended(container)
    assert ended.exit is not None
    assert ended.exit.code == 137


def test_stop_waits_for_a_graceful_exit(bench: Bench) -> None:
    script = 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    container = bench.start(script=script)
    bench.printed(container, "ready")

    bench.engine.stop_container(container, 20)

    # It returns when the container has ended: no waiting here.
    found = bench.engine.inspect_container(container)
    assert found.state == "exited"
    assert found.exit is not None
    assert found.exit.code == 0
    assert "bye" in bench.output(container)


def test_stop_kills_after_the_grace(bench: Bench) -> None:
    container = bench.start(script='trap "" TERM; echo ready; while :; do sleep 0.05; done')
    bench.printed(container, "ready")
    before = time.monotonic()

    bench.engine.stop_container(container, 1)

    assert 0.5 < time.monotonic() - before < 15
    found = bench.engine.inspect_container(container)
    assert found.exit is not None
    assert found.exit.code == 137


def test_a_paused_container_is_resumed_and_stopped(bench: Bench) -> None:
    if not bench.can.pause:
        pytest.skip("under cgroup v1 an ordinary user's containers have no cgroup to be paused by")
    container = bench.start(script="sleep 60")
    bench.awaited(container, "running")
    bench.pause(container)
    bench.awaited(container, "paused")

    bench.engine.unpause_container(container)
    running = bench.awaited(container, "running")
    bench.pause(container)
    bench.awaited(container, "paused")
    bench.engine.stop_container(container, 1)

    assert running.exit is None
    assert bench.ended(container).exit is not None


def test_calls_on_exited_and_missing_containers_are_no_error(bench: Bench) -> None:
    ended = bench.start("ended", "true")
    bench.ended(ended)
    created = bench.create("created", "true")

    for container in (ended, created, bench.name("nobody")):
        bench.engine.unpause_container(container)
        bench.engine.stop_container(container, 1)
    bench.engine.remove_container(bench.name("nobody"))
    bench.engine.remove_network(bench.name("nobody"))
    bench.engine.remove_volume(bench.name("nobody"))


def test_exec_returns_status_and_output(bench: Bench) -> None:
    container = bench.start(script="sleep 60")
    bench.awaited(container, "running")

    code, output = bench.engine.exec(container, ("sh", "-c", "echo out; echo err >&2; exit 4"), timeout=20)

    assert code == 4
    assert sorted(output.decode().split()) == ["err", "out"]


def test_exec_output_is_cut(bench: Bench) -> None:
    container = bench.start(script="sleep 60")
    bench.awaited(container, "running")

    code, output = bench.engine.exec(container, ("sh", "-c", "yes | head -c 200000"), timeout=20)

    assert code == 0
    assert len(output) == 65536


def test_exec_that_takes_too_long_fails(bench: Bench) -> None:
    container = bench.start(script="sleep 60")
    bench.awaited(container, "running")
    before = time.monotonic()

    with pytest.raises(EngineError, match="longer than"):
        bench.engine.exec(container, ("sleep", "30"), timeout=0.5)

    assert time.monotonic() - before < 15


def test_exec_in_a_missing_container_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.engine.exec(bench.name("nobody"), ("true",), timeout=5)


def test_a_missing_container_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="nobody"):
        bench.engine.inspect_container(bench.name("nobody"))
    with pytest.raises(NotFound, match="nobody"):
        bench.engine.start_container(bench.name("nobody"))
    with pytest.raises(NotFound, match="nobody"):
        bench.engine.logs(bench.name("nobody"), follow=False)


def test_a_missing_command_fails_the_start_and_leaves_the_container(bench: Bench) -> None:
    container = bench.create(entrypoint=("no-such-command", "x"))

    with pytest.raises(StartFailed, match="no-such-command") as failed:
        bench.engine.start_container(container)

    assert failed.value.remedy or not bench.can.images
    assert bench.state(container).state == "created"


def test_remove_kills_a_running_container_at_once(bench: Bench) -> None:
    container = bench.start(script='trap "" TERM; echo ready; while :; do sleep 0.05; done')
    bench.printed(container, "ready")
    before = time.monotonic()

    bench.engine.remove_container(container)

    assert time.monotonic() - before < 8
    assert bench.engine.list_containers(bench.labels) == []


def test_remove_without_force_keeps_a_running_container(bench: Bench) -> None:
    running = bench.start("running", "sleep 60")
    bench.awaited(running, "running")
    created = bench.create("created", "sleep 60")
    ended = bench.start("ended", "true")
    bench.ended(ended)

    with pytest.raises(Conflict, match="running"):
        bench.engine.remove_container(running, force=False)
    for container in (created, ended, bench.name("nobody")):
        bench.engine.remove_container(container, force=False)

    assert [(c.id, c.state) for c in bench.engine.list_containers(bench.labels)] == [(running, "running")]


def test_remove_without_force_keeps_a_container_whose_network_is_shared(containers: Bench) -> None:
    owner = containers.start("owner", "sleep 60")
    containers.create("sharer", "true", share_network_with=containers.name("owner"))
    containers.awaited(owner, "running")

    with pytest.raises(Conflict, match="running"):
        containers.engine.remove_container(owner, force=False)

    assert containers.state(owner).state == "running"


def test_remove_without_force_keeps_a_paused_container(bench: Bench) -> None:
    if not bench.can.pause:
        pytest.skip("this engine cannot pause here")
    container = bench.start(script="sleep 60")
    bench.awaited(container, "running")
    bench.pause(container)
    bench.awaited(container, "paused")

    with pytest.raises(Conflict):
        bench.engine.remove_container(container, force=False)

    bench.engine.unpause_container(container)
    bench.awaited(container, "running")


def test_an_oom_kill_is_reported(containers: Bench) -> None:
    if not containers.can.limits:
        pytest.skip("this engine's user was given no cgroup controllers")
    if not os.access("/dev/kmsg", os.R_OK):
        pytest.skip("under cgroup v1 only the kernel's log knows for sure, and it can't be read here")
    # Seen while it runs: that is when Docker tells the process's number.
    script = "sleep 0.5; exec python3 -c 'x = bytearray(200 << 20); print(len(x))'"

    started = [containers.start(f"c{index}", script, memory_limit=32 << 20) for index in range(3)]
    for container in started:
        containers.awaited(container, "running", "exited")

    for container in started:
        ended = containers.ended(container)
        assert ended.exit is not None
        assert ended.exit.code == 137
        assert ended.exit.oom_killed


def test_a_kill_is_not_reported_as_oom(containers: Bench) -> None:
    container = containers.start(script="exec sleep 60", memory_limit=64 << 20)
    containers.awaited(container, "running")

    containers.kill(container)

    ended = containers.ended(container)
    assert ended.exit is not None
    assert (ended.exit.code, ended.exit.oom_killed) == (137, False)
