"""Logs are kept whole: on real engines, and over every kind of break on a scripted stream."""

import os
import stat
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from reconciler.controller.nodeservices import log_collector
from reconciler.controller.nodeservices.log_collector import LogKeeper, LogPlace
from reconciler.controller.nodeservices.log_files import ROTATED, tail
from reconciler.engines.protocol import ContainerState
from reconciler.errors import EngineError, NotFound

PLACE = LogPlace(namespace="default", job="demo", attempt=0, container="demo-node-0")
DEADLINE = 20.0


def eventually(condition):
    """Wait until the condition holds; the value it holds with."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, "it never came to hold"
        threading.Event().wait(0.01)
    return value


def await_exit(engine, container):
    eventually(lambda: engine.inspect_container(container).state == "exited")


@pytest.fixture
def keeper(any_engine, tmp_path):
    made = LogKeeper(any_engine, tmp_path / "logs", clock=time.monotonic)
    yield made
    made.close()


def read(keeper, place=PLACE):
    return keeper.path(place).read_bytes()


# -- on real engines


@pytest.mark.engine
def test_everything_a_short_lived_container_prints_is_kept(any_engine, container, keeper):
    made = container("echo one; echo two >&2; echo three")
    keeper.attach(made, PLACE)
    keeper.attach(made, PLACE)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE)

    assert sorted(read(keeper).split()) == [b"one", b"three", b"two"]
    path = keeper.path(PLACE)
    assert path.parts[-4:] == ("default", "demo", "0", "demo-node-0.log")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.engine
def test_a_log_nobody_read_is_fetched_before_removal(any_engine, container, keeper):
    made = container("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE)

    assert read(keeper) == b"".join(b"line %d\n" % i for i in range(2000))


@pytest.mark.engine
def test_output_is_on_disk_while_the_container_runs(any_engine, container, keeper):
    made = container("echo begun; sleep 100")
    keeper.attach(made, PLACE)
    assert keeper.silence(made) is None
    before = time.monotonic()
    any_engine.start_container(made)

    eventually(lambda: keeper.path(PLACE).exists() and read(keeper) == b"begun\n")

    assert 0 <= keeper.silence(made) <= time.monotonic() - before
    any_engine.stop_container(made, 0)
    assert keeper.finish(made, PLACE, timeout=DEADLINE)
    assert read(keeper) == b"begun\n"


@pytest.mark.engine
def test_a_second_daemon_goes_on_without_doubling(any_engine, container, keeper, tmp_path):
    # On both streams: what was read first must come in the same order when it is read again.
    made = container(
        "i=0; while [ $i -lt 400 ]; do echo line $i; echo line $((i+1)) >&2; i=$((i+2)); sleep 0.01; done"
    )
    keeper.attach(made, PLACE)
    any_engine.start_container(made)
    eventually(lambda: keeper.path(PLACE).exists() and len(read(keeper)) > 200)
    keeper.close()
    kept = len(read(keeper))
    eventually(lambda: any_engine.inspect_container(made).state in {"running", "exited"})

    second = LogKeeper(any_engine, tmp_path / "logs", clock=time.monotonic)
    second.attach(made, PLACE)
    await_exit(any_engine, made)
    complete = second.finish(made, PLACE, timeout=DEADLINE)
    second.close()

    assert complete
    assert kept < len(read(second))
    lines = read(second).splitlines()
    assert sorted(lines) == sorted(b"line %d" % i for i in range(400))


@pytest.mark.engine
def test_a_restart_in_the_same_attempt_appends(any_engine, container, keeper):
    for text in ("first", "second"):
        made = container(f"printf {text}")
        keeper.attach(made, PLACE)
        any_engine.start_container(made)
        await_exit(any_engine, made)
        assert keeper.finish(made, PLACE, timeout=DEADLINE)
        any_engine.remove_container(made)

    assert read(keeper) == b"first\nsecond"


@pytest.mark.engine
def test_a_container_that_is_started_again_by_hand_is_heard_again(any_engine, container, keeper):
    made = container("echo run")
    keeper.attach(made, PLACE)
    any_engine.start_container(made)
    await_exit(any_engine, made)
    eventually(lambda: keeper.path(PLACE).exists() and read(keeper) == b"run\n")
    assert keeper.finish(made, PLACE, timeout=DEADLINE)

    if any_engine.name == "process":
        pytest.skip("a process is started once")
    any_engine._http.call("POST", f"/containers/{made}/start", "start it again")
    await_exit(any_engine, made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE)
    assert read(keeper) == b"run\nrun\n"


@pytest.mark.engine
def test_finishing_twice_keeps_the_log_as_it_is(any_engine, container, keeper):
    made = container("echo one")
    any_engine.start_container(made)
    await_exit(any_engine, made)
    assert keeper.finish(made, PLACE, timeout=DEADLINE)
    assert keeper.finish(made, PLACE, timeout=DEADLINE)
    any_engine.remove_container(made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE)
    assert read(keeper) == b"one\n"


@pytest.mark.engine
def test_a_container_that_printed_nothing_leaves_an_empty_file(any_engine, container, keeper):
    made = container("exit 3")
    keeper.attach(made, PLACE)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE)

    assert read(keeper) == b""
    assert stat.S_IMODE(keeper.path(PLACE).stat().st_mode) == 0o600


@pytest.mark.engine
def test_a_container_that_never_started_has_no_log_and_holds_nothing_up(any_engine, container, keeper):
    made = container("echo never")
    keeper.attach(made, PLACE)

    begun = time.monotonic()
    finished = keeper.finish(made, PLACE, timeout=DEADLINE)

    assert finished
    assert time.monotonic() - begun < DEADLINE / 2
    assert not keeper.path(PLACE).exists()


@pytest.mark.engine
def test_a_container_that_is_gone_ends_its_reader(any_engine, container, keeper):
    made = container("echo one; sleep 100")
    keeper.attach(made, PLACE)
    any_engine.start_container(made)
    eventually(lambda: keeper.path(PLACE).exists() and read(keeper) == b"one\n")

    any_engine.remove_container(made)

    assert keeper.finish(made, PLACE, timeout=DEADLINE) in {True, False}
    assert read(keeper) == b"one\n"
    assert not [thread for thread in threading.enumerate() if thread.name == f"log-{made[:12]}"]


# -- on a scripted stream: breaks that no engine makes on demand


class ScriptedEngine:
    """One container whose log is given; each reading may break where the script says.

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
        return ContainerState(id="c1", name=name, labels={}, image="i", state=self.state)

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
    return LogKeeper(engine, tmp_path / "logs", clock=time.monotonic)


@pytest.mark.parametrize("breaks", [[0], [1], [3000], [10, 2000, 5, 1023, 1024, 1025, 2500]])
def test_a_stream_that_breaks_is_read_again_and_nothing_is_lost_or_doubled(tmp_path, breaks):
    text = b"".join(b"line %d\n" % i for i in range(400))
    engine = ScriptedEngine(text, state="exited")
    engine.breaks = list(breaks)
    keeper = scripted(engine, tmp_path)

    keeper.attach("c1", PLACE)

    assert keeper.finish("c1", PLACE, timeout=DEADLINE)
    assert read(keeper) == text
    assert not engine.breaks


def test_a_stream_that_ends_early_without_a_word_is_read_again(tmp_path):
    engine = ScriptedEngine(b"one\n")
    keeper = scripted(engine, tmp_path)
    keeper.attach("c1", PLACE)
    eventually(lambda: keeper.path(PLACE).exists() and read(keeper) == b"one\n")

    # The stream ends as if the container had: it has not.
    engine.say(state="paused")
    eventually(lambda: engine.readings > 1)
    engine.say(b"two\n", state="running")
    engine.say(state="exited")

    assert keeper.finish("c1", PLACE, timeout=DEADLINE)
    assert read(keeper) == b"one\ntwo\n"


def test_reading_again_is_no_activity(tmp_path):
    now = [100.0]
    engine = ScriptedEngine(b"one\n")
    engine.breaks = [4]
    keeper = LogKeeper(engine, tmp_path / "logs", clock=lambda: now[0])
    engine.say()
    keeper.attach("c1", PLACE)
    eventually(lambda: keeper.silence("c1") == 0.0)

    now[0] = 200.0
    engine.say(b"", state="paused")
    eventually(lambda: engine.readings > 2)
    assert keeper.silence("c1") == 100.0

    engine.say(b"two\n", state="running")
    eventually(lambda: keeper.silence("c1") == 0.0)
    keeper.close()


def test_a_log_whose_beginning_was_rotated_away_says_so_and_goes_on(tmp_path):
    engine = ScriptedEngine(b"".join(b"old %d\n" % i for i in range(300)))
    keeper = scripted(engine, tmp_path)
    keeper.attach("c1", PLACE)
    eventually(lambda: keeper.path(PLACE).exists() and len(read(keeper)) == len(engine.log))
    keeper.close()
    before = read(keeper)

    engine.log = b"".join(b"new %d\n" % i for i in range(300))
    second = scripted(engine, tmp_path)
    second.attach("c1", PLACE)
    eventually(lambda: len(read(second)) >= len(before) + len(ROTATED) + len(engine.log))
    second.close()
    third = scripted(engine, tmp_path)
    engine.say(b"last\n", state="exited")
    third.attach("c1", PLACE)

    assert third.finish("c1", PLACE, timeout=DEADLINE)
    assert read(third) == before + ROTATED + engine.log


def test_a_log_rotated_while_it_was_followed_to_its_end_is_complete(tmp_path):
    text = b"".join(b"line %d\n" % i for i in range(300))
    engine = ScriptedEngine(text)
    keeper = scripted(engine, tmp_path)
    keeper.attach("c1", PLACE)
    eventually(lambda: keeper.path(PLACE).exists() and read(keeper) == text)
    engine.say(state="exited")
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "log-c1"])
    engine.log = text[500:]

    assert keeper.finish("c1", PLACE, timeout=DEADLINE)
    assert read(keeper) == text


def test_a_full_disk_is_said_once_and_made_good_when_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(log_collector, "DISK_RETRY", 0.02)
    full = [True]
    write = os.write

    def refusing(fd, data):
        if full[0] and str(tmp_path) in str(Path(f"/proc/self/fd/{fd}").readlink()):
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", refusing)
    engine = ScriptedEngine(b"one\ntwo\n")
    keeper = scripted(engine, tmp_path)
    keeper.attach("c1", PLACE)
    eventually(lambda: keeper.silence("c1") is not None)
    engine.say(state="exited")
    refused = keeper.finish("c1", PLACE, timeout=0.2)
    assert read(keeper) == b""

    full[0] = False

    assert not refused
    assert keeper.finish("c1", PLACE, timeout=DEADLINE)
    assert read(keeper) == b"one\ntwo\n"


def test_a_folder_that_cannot_be_made_is_no_crash(tmp_path):
    (tmp_path / "logs").write_text("a file in the way")
    engine = ScriptedEngine(b"one\n", state="exited")
    keeper = scripted(engine, tmp_path)

    keeper.attach("c1", PLACE)

    assert not keeper.finish("c1", PLACE, timeout=0.2)


def test_an_engine_that_does_not_answer_at_the_end_is_said(tmp_path):
    engine = ScriptedEngine(b"one\n", state="gone")
    keeper = scripted(engine, tmp_path)

    assert not keeper.finish("c1", PLACE, timeout=0.2)


def test_closing_ends_every_reader(tmp_path):
    engine = ScriptedEngine(b"one\n")
    keeper = scripted(engine, tmp_path)
    for number in range(5):
        place = LogPlace(namespace="default", job="demo", attempt=0, container=f"c{number}")
        keeper.attach(f"c{number}", place)

    keeper.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("log-c")]


def test_the_tail_of_a_log(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"one\ntwo\r\n 10%\r 50%\r100%\nbad \xff\n")

    assert tail(path, 2) == ["100%", "bad \ufffd"]
    assert tail(path, 99) == ["one", "two", "100%", "bad \ufffd"]
    assert tail(path, 0) == []
    assert tail(Path(tmp_path / "none"), 5) == []


def test_the_tail_of_a_large_log_reads_its_end_only(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"x" * 100 + b"\n" + b"".join(b"line %d\n" % i for i in range(100_000)))

    lines = tail(path, 100_000)

    assert lines[-1] == "line 99999"
    assert all(line.startswith("line ") for line in lines)
    assert len(lines) < 10_000
