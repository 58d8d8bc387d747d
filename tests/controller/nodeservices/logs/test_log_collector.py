"""Logs are kept completely: on real engines, and across every kind of interruption on a scripted stream."""

import os
import stat
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from reconciler.controller.nodeservices.logs import log_reader
from reconciler.controller.nodeservices.logs.log_collector import LogCollector
from reconciler.controller.nodeservices.logs.log_files import ROTATED
from reconciler.engines.protocol import ContainerState
from reconciler.errors import EngineError, NotFound
from reconciler.state.kept_logs.log_paths import LogLocation

LOCATION = LogLocation(namespace="default", job="demo", attempt=0, container="demo-node-0")
DEADLINE = 20.0


def eventually(condition):
    """Waits until the condition is true; returns its value."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true"
        threading.Event().wait(0.01)
    return value


def await_exit(engine, container):
    eventually(lambda: engine.inspect_container(container).state == "exited")


@pytest.fixture
def collector(any_engine, tmp_path):
    made = LogCollector(any_engine, tmp_path / "logs", clock=time.monotonic)
    yield made
    made.close()


def read(collector, location=LOCATION):
    return collector.path(location).read_bytes()


# -- on real engines


@pytest.mark.engine
def test_output_of_a_short_lived_container_is_kept(any_engine, container, collector):
    made = container("echo one; echo two >&2; echo three")
    collector.follow(made, LOCATION)
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE)

    assert sorted(read(collector).split()) == [b"one", b"three", b"two"]
    path = collector.path(LOCATION)
    assert path.parts[-4:] == ("default", "demo", "0", "demo-node-0.log")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.engine
def test_finish_reads_a_log_that_was_not_followed(any_engine, container, collector):
    made = container("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE)

    assert read(collector) == b"".join(b"line %d\n" % i for i in range(2000))


@pytest.mark.engine
def test_output_is_on_disk_while_the_container_runs(any_engine, container, collector):
    made = container("echo begun; sleep 100")
    collector.follow(made, LOCATION)
    assert collector.seconds_since_output(made) is None
    before = time.monotonic()
    any_engine.start_container(made)

    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"begun\n")

    assert 0 <= collector.seconds_since_output(made) <= time.monotonic() - before
    any_engine.stop_container(made, 0)
    assert collector.finish(made, LOCATION, timeout=DEADLINE)
    assert read(collector) == b"begun\n"


@pytest.mark.engine
def test_second_daemon_continues_without_duplicates(any_engine, container, collector, tmp_path):
    # On both streams: what was read first must come in the same order when it is read again.
    made = container(
        "i=0; while [ $i -lt 400 ]; do echo line $i; echo line $((i+1)) >&2; i=$((i+2)); sleep 0.01; done"
    )
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    eventually(lambda: collector.path(LOCATION).exists() and len(read(collector)) > 200)
    collector.close()
    kept = len(read(collector))
    eventually(lambda: any_engine.inspect_container(made).state in {"running", "exited"})

    second = LogCollector(any_engine, tmp_path / "logs", clock=time.monotonic)
    second.follow(made, LOCATION)
    await_exit(any_engine, made)
    complete = second.finish(made, LOCATION, timeout=DEADLINE)
    second.close()

    assert complete
    assert kept < len(read(second))
    lines = read(second).splitlines()
    assert sorted(lines) == sorted(b"line %d" % i for i in range(400))


@pytest.mark.engine
def test_restart_in_the_same_attempt_appends(any_engine, container, collector):
    for text in ("first", "second"):
        made = container(f"printf {text}")
        collector.follow(made, LOCATION)
        any_engine.start_container(made)
        await_exit(any_engine, made)
        assert collector.finish(made, LOCATION, timeout=DEADLINE)
        any_engine.remove_container(made)

    assert read(collector) == b"first\nsecond"


@pytest.mark.engine
def test_container_started_again_by_hand_is_read_again(any_engine, container, collector):
    made = container("echo run")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"run\n")
    assert collector.finish(made, LOCATION, timeout=DEADLINE)

    if any_engine.name == "process":
        pytest.skip("a process is started once")
    any_engine._http.call("POST", f"/containers/{made}/start", "start it again")
    await_exit(any_engine, made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE)
    assert read(collector) == b"run\nrun\n"


@pytest.mark.engine
def test_second_finish_keeps_the_log_unchanged(any_engine, container, collector):
    made = container("echo one")
    any_engine.start_container(made)
    await_exit(any_engine, made)
    assert collector.finish(made, LOCATION, timeout=DEADLINE)
    assert collector.finish(made, LOCATION, timeout=DEADLINE)
    any_engine.remove_container(made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE)
    assert read(collector) == b"one\n"


@pytest.mark.engine
def test_container_without_output_leaves_an_empty_file(any_engine, container, collector):
    made = container("exit 3")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE)

    assert read(collector) == b""
    assert stat.S_IMODE(collector.path(LOCATION).stat().st_mode) == 0o600


@pytest.mark.engine
def test_container_that_never_started_has_no_log_and_no_delay(any_engine, container, collector):
    made = container("echo never")
    collector.follow(made, LOCATION)

    begun = time.monotonic()
    finished = collector.finish(made, LOCATION, timeout=DEADLINE)

    assert finished
    assert time.monotonic() - begun < DEADLINE / 2
    assert not collector.path(LOCATION).exists()


@pytest.mark.engine
def test_removed_container_ends_its_reader(any_engine, container, collector):
    made = container("echo one; sleep 100")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"one\n")

    any_engine.remove_container(made)

    assert collector.finish(made, LOCATION, timeout=DEADLINE) in {True, False}
    assert read(collector) == b"one\n"
    assert not [thread for thread in threading.enumerate() if thread.name == f"log-{made[:12]}"]


# -- on a scripted stream: interruptions that no engine makes on demand


class ScriptedEngine:
    """One container with a given log; each stream may be interrupted where the script says.

    Stands for an engine only in how a stream begins, breaks and ends.
    """

    name = "scripted"

    def __init__(self, log=b"", *, state="running"):
        self.log = log
        self.state = state
        self.breaks = []
        self.readings = 0
        self.changed = threading.Condition()

    def inspect_container(self, name):
        if self.state == "gone":
            raise NotFound("it is gone")
        return ContainerState(id="c1", name=name, labels={}, state=self.state)

    def say(self, data=b"", *, state=None):
        with self.changed:
            self.log += data
            self.state = state or self.state
            self.changed.notify_all()

    def logs(self, _container, *, follow):
        if self.state == "gone":
            raise NotFound("it is gone")
        self.readings += 1
        return ScriptedStream(self, follow, self.breaks.pop(0) if self.breaks else None)


class ScriptedStream:
    def __init__(self, engine, follow, break_at):
        self.engine, self.follow, self.break_at = engine, follow, break_at
        self.closed = False

    def __iter__(self):
        position = 0
        while True:
            with self.engine.changed:
                self.engine.changed.wait_for(partial(self._has, position), timeout=DEADLINE)
                chunk = self.engine.log[position : position + 7]
                over = not chunk and (not self.follow or self.engine.state != "running")
            if self.closed or over:
                return
            if self.break_at is not None and position + len(chunk) > self.break_at:
                chunk = chunk[: self.break_at - position]
                if chunk:
                    yield chunk
                raise EngineError("The stream broke.")
            position += len(chunk)
            yield chunk

    def _has(self, position):
        ended = self.closed or not self.follow or self.engine.state != "running"
        return ended or len(self.engine.log) > position

    def close(self):
        self.closed = True
        with self.engine.changed:
            self.engine.changed.notify_all()


def scripted(engine, tmp_path):
    return LogCollector(engine, tmp_path / "logs", clock=time.monotonic)


@pytest.mark.parametrize("breaks", [[0], [1], [3000], [10, 2000, 5, 1023, 1024, 1025, 2500]])
def test_interrupted_stream_is_read_again_without_loss_or_duplicates(tmp_path, breaks):
    text = b"".join(b"line %d\n" % i for i in range(400))
    engine = ScriptedEngine(text, state="exited")
    engine.breaks = list(breaks)
    collector = scripted(engine, tmp_path)

    collector.follow("c1", LOCATION)

    assert collector.finish("c1", LOCATION, timeout=DEADLINE)
    assert read(collector) == text
    assert not engine.breaks


def test_stream_that_ends_early_without_error_is_read_again(tmp_path):
    engine = ScriptedEngine(b"one\n")
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"one\n")

    # The stream ends as if the container had: it has not.
    engine.say(state="paused")
    eventually(lambda: engine.readings > 1)
    engine.say(b"two\n", state="running")
    engine.say(state="exited")

    assert collector.finish("c1", LOCATION, timeout=DEADLINE)
    assert read(collector) == b"one\ntwo\n"


def test_reading_again_is_not_new_output(tmp_path):
    now = [100.0]
    engine = ScriptedEngine(b"one\n")
    engine.breaks = [4]
    collector = LogCollector(engine, tmp_path / "logs", clock=lambda: now[0])
    engine.say()
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.seconds_since_output("c1") == 0.0)

    now[0] = 200.0
    engine.say(b"", state="paused")
    eventually(lambda: engine.readings > 2)
    assert collector.seconds_since_output("c1") == 100.0

    engine.say(b"two\n", state="running")
    eventually(lambda: collector.seconds_since_output("c1") == 0.0)
    collector.close()


def test_rotated_log_is_marked_and_continued(tmp_path):
    engine = ScriptedEngine(b"".join(b"old %d\n" % i for i in range(300)))
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and len(read(collector)) == len(engine.log))
    collector.close()
    before = read(collector)

    engine.log = b"".join(b"new %d\n" % i for i in range(300))
    second = scripted(engine, tmp_path)
    second.follow("c1", LOCATION)
    eventually(lambda: len(read(second)) >= len(before) + len(ROTATED) + len(engine.log))
    second.close()
    third = scripted(engine, tmp_path)
    engine.say(b"last\n", state="exited")
    third.follow("c1", LOCATION)

    assert third.finish("c1", LOCATION, timeout=DEADLINE)
    assert read(third) == before + ROTATED + engine.log


def test_log_rotated_after_it_was_followed_to_its_end_is_complete(tmp_path):
    text = b"".join(b"line %d\n" % i for i in range(300))
    engine = ScriptedEngine(text)
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == text)
    engine.say(state="exited")
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "log-c1"])
    engine.log = text[500:]

    assert collector.finish("c1", LOCATION, timeout=DEADLINE)
    assert read(collector) == text


def test_full_disk_is_retried_until_the_log_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(log_reader, "DISK_RETRY", 0.02)
    full = [True]
    write = os.write

    def refusing(fd, data):
        if full[0] and str(tmp_path) in str(Path(f"/proc/self/fd/{fd}").readlink()):
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", refusing)
    engine = ScriptedEngine(b"one\ntwo\n")
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.seconds_since_output("c1") is not None)
    engine.say(state="exited")
    refused = collector.finish("c1", LOCATION, timeout=0.2)
    assert read(collector) == b""

    full[0] = False

    assert not refused
    assert collector.finish("c1", LOCATION, timeout=DEADLINE)
    assert read(collector) == b"one\ntwo\n"


def test_log_folder_that_cannot_be_created_fails_finish(tmp_path):
    (tmp_path / "logs").write_text("a file in the way")
    engine = ScriptedEngine(b"one\n", state="exited")
    collector = scripted(engine, tmp_path)

    collector.follow("c1", LOCATION)

    assert not collector.finish("c1", LOCATION, timeout=0.2)


def test_finish_fails_for_a_container_that_is_gone(tmp_path):
    engine = ScriptedEngine(b"one\n", state="gone")
    collector = scripted(engine, tmp_path)

    assert not collector.finish("c1", LOCATION, timeout=0.2)


def test_close_ends_every_reader(tmp_path):
    engine = ScriptedEngine(b"one\n")
    collector = scripted(engine, tmp_path)
    for number in range(5):
        location = LogLocation(namespace="default", job="demo", attempt=0, container=f"c{number}")
        collector.follow(f"c{number}", location)

    collector.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("log-c")]
