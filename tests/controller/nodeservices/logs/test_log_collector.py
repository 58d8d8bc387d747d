"""Logs are kept completely: on real engines, and across every kind of interruption on a scripted stream."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from reconciler.controller.nodeservices.logs import log_copy, log_loop
from reconciler.controller.nodeservices.logs.log_collector import LogCollector
from reconciler.controller.nodeservices.logs.log_files import ROTATED
from reconciler.controller.statemachine.observation import LogState
from reconciler.engines.protocol import ContainerState
from reconciler.errors import EngineError, EngineUnavailable, LogUnreadable, NotFound
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


def finish(collector, container, *, seconds=DEADLINE, ended_at=None, location=LOCATION):
    """Whether the log of a container that has exited is whole within the time."""
    if ended_at is None:
        ended_at = inspect_end(collector, container)
    collector.finish(container, location, ended_at=ended_at)
    collector.wait([container], timeout=seconds)
    return collector.finish(container, location, ended_at=ended_at) == LogState("whole")


def inspect_end(collector, container):
    state = collector._loop._engine.inspect_container(container)
    return state.exit.finished_at if state.exit is not None else None


# -- on real engines


@pytest.mark.engine
def test_output_of_a_short_lived_container_is_kept(any_engine, container, collector):
    made = container("echo one; echo two >&2; echo three")
    collector.follow(made, LOCATION)
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert finish(collector, made)

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

    assert finish(collector, made)

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
    assert finish(collector, made)
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
    complete = finish(second, made)
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
        assert finish(collector, made)
        any_engine.remove_container(made)

    assert read(collector) == b"first\nsecond"


@pytest.mark.engine
def test_container_started_again_by_hand_is_read_again(any_engine, container, collector):
    made = container("echo run")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"run\n")
    assert finish(collector, made)

    if any_engine.name == "process":
        pytest.skip("a process is started once")
    any_engine._http.call("POST", f"/containers/{made}/start", "start it again")
    await_exit(any_engine, made)

    assert finish(collector, made)
    assert read(collector) == b"run\nrun\n"


@pytest.mark.engine
def test_second_finish_keeps_the_log_unchanged(any_engine, container, collector):
    made = container("echo one")
    any_engine.start_container(made)
    await_exit(any_engine, made)
    ended_at = inspect_end(collector, made)
    assert finish(collector, made)
    assert finish(collector, made)
    any_engine.remove_container(made)

    assert finish(collector, made, ended_at=ended_at)
    assert read(collector) == b"one\n"


@pytest.mark.engine
def test_container_without_output_leaves_an_empty_file(any_engine, container, collector):
    made = container("exit 3")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    await_exit(any_engine, made)

    assert finish(collector, made)

    assert read(collector) == b""
    assert stat.S_IMODE(collector.path(LOCATION).stat().st_mode) == 0o600


@pytest.mark.engine
def test_removed_container_ends_its_reader(any_engine, container, collector):
    made = container("echo one; sleep 100")
    collector.follow(made, LOCATION)
    any_engine.start_container(made)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"one\n")

    any_engine.remove_container(made)

    eventually(lambda: collector.state(made).progress in {"whole", "lost"})
    assert read(collector) == b"one\n"


@pytest.mark.engine
def test_log_completed_by_an_earlier_collector_is_not_read_again(any_engine, container, collector, tmp_path):
    made = container("echo one")
    any_engine.start_container(made)
    await_exit(any_engine, made)
    assert finish(collector, made)

    second = LogCollector(any_engine, tmp_path / "logs", clock=time.monotonic)

    assert second.finish(made, LOCATION, ended_at=inspect_end(second, made)) == LogState("whole")
    assert second.state(made) is None


@pytest.mark.engine
def test_lots_of_output_is_whole_whether_followed_or_not(any_engine, container, collector):
    followed = container("seq 150000")
    any_engine.start_container(followed)
    collector.follow(followed, LOCATION)
    await_exit(any_engine, followed)

    assert finish(collector, followed)

    expected = b"".join(b"%d\n" % number for number in range(1, 150001))
    assert read(collector) == expected


# -- on a scripted stream: interruptions that no engine makes on demand


class ScriptedEngine:
    """One container with a given log; each source may be interrupted where the script says.

    Stands for an engine only in how a source begins, breaks and ends.
    """

    name = "scripted"

    def __init__(self, log=b"", *, state="running"):
        self.log = log
        self.state = state
        self.exact = True
        self.breaks = []
        self.readings = 0
        self.error = None
        self.listeners = []

    def inspect_container(self, name):
        if self.state == "gone":
            raise NotFound("it is gone")
        return ContainerState(id="c1", name=name, labels={}, state=self.state)

    def say(self, data=b"", *, state=None):
        self.log += data
        self.state = state or self.state
        for listener in list(self.listeners):
            listener()

    def open_log(self, _container, *, follow):
        if self.error is not None:
            raise self.error
        if self.state == "gone":
            raise NotFound("it is gone")
        self.readings += 1
        return ScriptedSource(self, follow, self.breaks.pop(0) if self.breaks else None)


class ScriptedSource:
    poll_seconds = 5.0

    def __init__(self, engine, follow, break_at):
        self.engine, self.follow, self.break_at = engine, follow, break_at
        self.exact = engine.exact
        self.position = 0

    def read(self):
        ended = not self.follow or self.engine.state != "running"
        chunk = self.engine.log[self.position : self.position + 7]
        if self.break_at is not None and self.position + len(chunk) > self.break_at:
            chunk = chunk[: self.break_at - self.position]
            if not chunk:
                raise EngineError("The stream broke.")
        self.position += len(chunk)
        return chunk or (b"" if ended else None)

    def watch(self, changed):
        self.engine.listeners.append(changed)

    def open_rest(self):
        return None

    def close(self):
        pass


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(log_copy, "END_PATIENCE", 0.02)


def scripted(engine, tmp_path):
    return LogCollector(engine, tmp_path / "logs", clock=time.monotonic)


@pytest.mark.parametrize("breaks", [[0], [1], [3000], [10, 2000, 5, 1023, 1024, 1025, 2500]])
def test_interrupted_stream_is_read_again_without_loss_or_duplicates(tmp_path, breaks):
    text = b"".join(b"line %d\n" % i for i in range(400))
    engine = ScriptedEngine(text, state="exited")
    engine.breaks = list(breaks)
    collector = scripted(engine, tmp_path)

    collector.follow("c1", LOCATION)

    assert finish(collector, "c1")
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

    assert finish(collector, "c1")
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

    assert finish(third, "c1")
    assert read(third) == before + ROTATED + engine.log


def test_log_rotated_after_it_was_followed_to_its_end_is_complete(tmp_path):
    text = b"".join(b"line %d\n" % i for i in range(300))
    engine = ScriptedEngine(text)
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == text)
    engine.say(state="exited")
    eventually(lambda: collector.state("c1") == LogState("whole"))
    engine.log = text[500:]

    assert finish(collector, "c1")
    assert read(collector) == text


def test_full_disk_is_retried_until_the_log_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(log_copy, "DISK_RETRY", 0.02)
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
    refused = finish(collector, "c1", seconds=0.2)
    assert read(collector) == b""

    full[0] = False

    assert not refused
    assert finish(collector, "c1")
    assert read(collector) == b"one\ntwo\n"


def test_log_folder_that_cannot_be_created_fails_finish(tmp_path):
    (tmp_path / "logs").write_text("a file in the way")
    engine = ScriptedEngine(b"one\n", state="exited")
    collector = scripted(engine, tmp_path)

    collector.follow("c1", LOCATION)

    assert not finish(collector, "c1", seconds=0.2)


def test_log_of_a_container_that_is_gone_is_lost(tmp_path):
    engine = ScriptedEngine(b"one\n", state="gone")
    collector = scripted(engine, tmp_path)

    collector.finish("c1", LOCATION, ended_at=5.0)

    lost = eventually(lambda: (s := collector.state("c1")).progress == "lost" and s)
    assert "removed" in lost.problem


def test_log_that_the_engine_never_gives_is_lost_at_once(tmp_path):
    engine = ScriptedEngine(state="exited")
    engine.error = LogUnreadable("The driver keeps none.")
    collector = scripted(engine, tmp_path)

    collector.finish("c1", LOCATION, ended_at=5.0)

    assert eventually(lambda: (s := collector.state("c1")).progress == "lost" and s).problem.startswith(
        "The driver"
    )


@pytest.mark.parametrize(
    ("error", "given_up"), [(EngineError("It fails."), True), (EngineUnavailable("Nobody answers."), False)]
)
def test_only_an_engine_that_answers_is_given_up(tmp_path, monkeypatch, error, given_up):
    monkeypatch.setattr(log_copy, "LAST_RETRY", 0.02)
    now = [0.0]
    engine = ScriptedEngine(b"one\n", state="exited")
    engine.error = error
    told = []
    collector = LogCollector(
        engine, tmp_path / "logs", clock=lambda: now[0] + time.monotonic(), on_change=told.append
    )
    collector.finish("c1", LOCATION, ended_at=5.0)
    collector.wait(["c1"], timeout=0.3)
    now[0] += log_copy.LIMIT
    collector.wait(["c1"], timeout=1.0)

    assert collector.state("c1").progress == ("lost" if given_up else "reading")
    assert told == (["default/demo"] if given_up else [])
    engine.error = None
    if not given_up:
        assert finish(collector, "c1", ended_at=5.0)
    collector.close()


def test_source_that_may_miss_its_end_is_read_again_once_the_container_has_ended(tmp_path):
    engine = ScriptedEngine(b"one\n")
    engine.exact = False
    engine.breaks = [4, 4]
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"one\n")
    engine.say(b"two\n", state="exited")

    assert finish(collector, "c1", ended_at=5.0)
    assert read(collector) == b"one\ntwo\n"


def test_followed_source_that_does_not_notice_the_end_is_opened_anew(tmp_path):
    engine = ScriptedEngine(b"one\n")
    collector = scripted(engine, tmp_path)
    collector.follow("c1", LOCATION)
    eventually(lambda: collector.path(LOCATION).exists() and read(collector) == b"one\n")

    # To the engine it runs on, as far as its source knows.
    assert finish(collector, "c1", ended_at=5.0)
    assert engine.readings == 2


def test_disk_that_stays_full_is_waited_for_no_longer_and_written_when_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(log_copy, "DISK_RETRY", 0.02)
    monkeypatch.setattr(log_copy, "LIMIT", 0.1)
    (tmp_path / "logs").write_text("a file in the way")
    engine = ScriptedEngine(b"one\n", state="exited")
    told = []
    collector = LogCollector(engine, tmp_path / "logs", clock=time.monotonic, on_change=told.append)
    collector.finish("c1", LOCATION, ended_at=5.0)

    late = eventually(lambda: (s := collector.state("c1")).progress == "late" and s)
    (tmp_path / "logs").unlink()
    eventually(lambda: collector.state("c1") == LogState("whole"))

    assert "cannot be written" in late.problem
    assert read(collector) == b"one\n"
    assert told[-1] == "default/demo"
    collector.close()


def test_problem_while_a_container_runs_is_told_and_so_is_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(log_copy, "DISK_RETRY", 0.02)
    (tmp_path / "logs").write_text("a file in the way")
    engine = ScriptedEngine(b"one\n")
    told = []
    collector = LogCollector(engine, tmp_path / "logs", clock=time.monotonic, on_change=told.append)
    collector.follow("c1", LOCATION)

    eventually(lambda: told == ["default/demo"])
    assert collector.state("c1").problem
    assert collector.seconds_since_output("c1") == 0.0
    (tmp_path / "logs").unlink()
    eventually(lambda: told == ["default/demo"] * 2)

    assert collector.state("c1") == LogState("following")
    assert read(collector) == b"one\n"
    collector.close()


def test_one_thread_reads_all_logs_and_ends_with_close(tmp_path):
    before = set(threading.enumerate())
    engine = ScriptedEngine(b"one\n")
    collector = scripted(engine, tmp_path)
    for number in range(50):
        location = LogLocation(namespace="default", job="demo", attempt=0, container=f"c{number}")
        collector.follow(f"c{number}", location)
    eventually(lambda: len(list((tmp_path / "logs").rglob("*.log"))) == 50)
    made = [thread.name for thread in set(threading.enumerate()) - before]

    collector.close()

    assert made.count("logs") == 1
    assert len(made) <= 1 + log_loop.CALL_WIDTH
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "logs"]
