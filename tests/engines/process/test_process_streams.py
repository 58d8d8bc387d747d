"""Logs, events and exec; and the supervisor's imports."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.specs import Mount, NetworkSpec
from reconciler.errors import EngineError, NotFound


class EventCollector:
    """Collects events in a thread."""

    def __init__(self, stream):
        self.events = []
        self.times = []
        self._stream = stream
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self):
        for event in self._stream:
            self.times.append(time.time())
            self.events.append(event)

    def close(self):
        self._stream.close()
        self._thread.join(10)
        return not self._thread.is_alive()


def test_a_containers_lifecycle_is_published(bench, until):
    collector = EventCollector(bench.engine.events())
    labels = {"job": "a"}

    bench.run("true", labels=labels)
    bench.engine.remove_container("job-node-0")
    until(lambda: len(collector.events) >= 4)

    assert collector.close()
    assert [e.action for e in collector.events] == ["create", "start", "die", "remove"]
    assert {(e.kind, e.name, e.labels["job"]) for e in collector.events} == {("container", "job-node-0", "a")}


def test_network_changes_are_published(engine, until):
    collector = EventCollector(engine.events())

    engine.create_network(NetworkSpec(name="n", labels={"job": "a"}))
    engine.remove_network("n")
    until(lambda: len(collector.events) >= 2)

    assert collector.close()
    assert [(e.kind, e.action) for e in collector.events] == [("network", "create"), ("network", "remove")]


def test_an_exit_is_published_at_once(bench, until):
    collector = EventCollector(bench.engine.events())

    bench.run("true")
    until(lambda: any(e.action == "die" for e in collector.events))

    collector.close()
    [received_at] = [t for e, t in zip(collector.events, collector.times, strict=True) if e.action == "die"]
    assert received_at - bench.engine.inspect_container("job-node-0").exit.finished_at < 0.25


def test_events_of_another_daemon_are_received(engine, state_dir, bench_of, until):
    collector = EventCollector(engine.events())

    bench_of(ProcessEngine(state_dir)).run("true")
    until(lambda: any(e.action == "die" for e in collector.events))

    assert collector.close()


def test_labels_too_long_for_an_event_are_looked_up(bench, until):
    labels = {f"label-{i}": "x" * 200 for i in range(60)}
    collector = EventCollector(bench.engine.events())

    bench.run("true", labels=labels)
    until(lambda: any(e.action == "die" for e in collector.events))

    assert collector.close()
    assert collector.events[0].labels == labels


def test_the_pipe_of_a_dead_subscriber_is_removed(bench, state_dir):
    os.mkfifo(state_dir / "listeners" / "dead")

    bench.run("true")

    assert list((state_dir / "listeners").iterdir()) == []


def test_closing_before_and_after_iterating(engine, state_dir):
    stream = engine.events()
    stream.close()
    stream.close()

    assert list(stream) == []
    assert list((state_dir / "listeners").iterdir()) == []


def test_closing_the_engine_ends_its_streams(engine, until):
    collector = EventCollector(engine.events())

    engine.close()
    collector._thread.join(10)

    assert not collector._thread.is_alive()


def test_following_waits_for_the_start_and_ends_with_the_container(bench):
    bench.create("sh", "-c", "echo one; sleep 0.1; echo two")
    stream = bench.engine.logs("job-node-0", follow=True)
    received = []
    thread = threading.Thread(target=lambda: received.extend(stream))
    thread.start()

    bench.engine.start_container("job-node-0")
    thread.join(20)

    assert not thread.is_alive()
    assert b"".join(received) == b"one\ntwo\n"


def test_following_ends_when_the_container_is_removed(bench):
    bench.create("true")
    stream = bench.engine.logs("job-node-0", follow=True)
    thread = threading.Thread(target=lambda: list(stream))
    thread.start()

    bench.engine.remove_container("job-node-0")
    thread.join(10)

    assert not thread.is_alive()


def test_following_can_be_closed_from_another_thread(bench):
    bench.start("sleep", "60")
    stream = bench.engine.logs("job-node-0", follow=True)
    thread = threading.Thread(target=lambda: list(stream))
    thread.start()

    stream.close()
    thread.join(10)

    assert not thread.is_alive()


def test_without_follow_the_stream_ends_at_once(bench):
    bench.start("sh", "-c", "echo now; sleep 60")

    assert isinstance(b"".join(bench.engine.logs("job-node-0", follow=False)), bytes)


@pytest.mark.parametrize(("tail", "expected"), [(0, ""), (1, "3\n"), (2, "2\n3\n"), (9, "1\n2\n3\n")])
def test_tail_returns_the_last_lines(bench, tail, expected):
    bench.run("sh", "-c", "echo 1; echo 2; echo 3")

    out = b"".join(bench.engine.logs("job-node-0", follow=False, tail=tail))

    assert out.decode() == expected


def test_tail_counts_an_unfinished_last_line(bench):
    bench.run("python", "-c", "print('\\n'.join(f'{i:0100}' for i in range(5000)), end='')")

    out = b"".join(bench.engine.logs("job-node-0", follow=False, tail=2000)).decode().split("\n")

    assert [int(line) for line in out] == list(range(3000, 5000))


def test_binary_output_is_kept_unchanged(bench):
    bench.start("python", "-c", "import os; os.write(1, bytes(range(256)) * 1000)")

    assert b"".join(bench.engine.logs("job-node-0", follow=True)) == bytes(range(256)) * 1000


@pytest.mark.parametrize("can_mount", [True, False])
def test_exec_has_the_containers_environment_folder_and_mounts(
    state_dir, bench_of, tmp_path, can_mount, mounts_refused
):
    if can_mount and mounts_refused:
        pytest.skip(mounts_refused)
    engine = ProcessEngine(state_dir, can_mount=can_mount)
    (tmp_path / "file").write_text("hello")
    mount = Mount(kind="bind", target="/data-of-it", source=str(tmp_path))
    bench_of(engine).start("sleep", "60", env={"WORD": "w"}, mounts=(mount,), working_dir="/data-of-it")

    code, out = engine.exec(
        "job-node-0", ("sh", "-c", "cat /data-of-it/file; echo $WORD; ls; exit 3"), timeout=20
    )

    engine.remove_container("job-node-0")
    assert code == 3
    assert out.startswith(b"hellow\n")
    assert b"file" in out


def test_exec_reports_a_missing_program_as_a_shell_does(bench):
    bench.start("sleep", "60")

    code, out = bench.engine.exec("job-node-0", ("no-such-program",), timeout=20)

    assert code == 127
    assert b"no-such-program" in out


def test_exec_is_killed_at_its_timeout(bench):
    bench.start("sleep", "60")

    with pytest.raises(EngineError, match=r"longer than 0\.2 s"):
        bench.engine.exec("job-node-0", ("sleep", "30"), timeout=0.2)


def test_exec_returns_at_most_64_kib(bench):
    bench.start("sleep", "60")

    _, out = bench.engine.exec("job-node-0", ("head", "-c", "1000000", "/dev/zero"), timeout=20)

    assert len(out) == 65536


def test_exec_needs_a_running_container(bench):
    bench.create("true")

    with pytest.raises(EngineError, match="not running"):
        bench.engine.exec("job-node-0", ("true",), timeout=5)
    with pytest.raises(NotFound):
        bench.engine.exec("nobody", ("true",), timeout=5)


def test_the_supervisor_imports_nothing_heavy():
    code = (
        "import sys; sys.path.append(sys.argv[1]); from reconciler.engines.process.supervisor import supervisor;"
        "from reconciler.engines.process.supervisor import mount_namespace;"
        "print([m for m in ('typing', 'pathlib', 'dataclasses', 'pydantic', 'asyncio', 'inspect') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[3])

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
