"""Starts, exits, signals and listings, across the deaths of daemons and supervisors."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.process.supervisor import process_identity
from reconciler.engines.specs import Mount
from reconciler.errors import Conflict, EngineError, EngineUnavailable, NotFound, StartFailed


def alive(pid: int) -> bool:
    return process_identity.identity(pid) != ""


def record(state_dir: Path, name: str = "job-node-0") -> dict:
    return json.loads((state_dir / "containers" / name / "run.json").read_text())


def test_an_exit_status_is_kept(bench):
    bench.run("sh", "-c", "exit 7")

    state = bench.engine.inspect_container("job-node-0")

    assert state.state == "exited"
    assert state.exit.code == 7
    assert state.created_at <= state.started_at <= state.exit.finished_at


def test_death_by_signal_is_exit_code_128_plus_its_number(bench):
    bench.run("sh", "-c", "kill -SEGV $$")

    assert bench.engine.inspect_container("job-node-0").exit.code == 128 + signal.SIGSEGV


def test_both_output_streams_are_logged_in_order(bench):
    out = bench.run("sh", "-c", "echo one; echo two >&2; echo three")

    assert out == "one\ntwo\nthree\n"


def test_a_second_container_of_a_name_is_a_conflict(bench):
    bench.create("true")

    with pytest.raises(Conflict, match="job-node-0 exists already"):
        bench.create("true")


def test_a_container_is_found_by_its_id(bench):
    container = bench.create("true")

    assert bench.engine.inspect_container(container).name == "job-node-0"


def test_missing_objects_raise_or_are_ignored_as_the_protocol_says(engine):
    for call in (engine.inspect_container, engine.start_container):
        with pytest.raises(NotFound):
            call("nobody")
    with pytest.raises(NotFound):
        engine.logs("nobody", follow=False)
    engine.stop_container("nobody", 1)
    engine.unpause_container("nobody")
    engine.remove_container("nobody")
    engine.remove_network("nobody")
    engine.remove_volume("nobody")


def test_a_container_without_command_is_refused_with_a_remedy(bench):
    with pytest.raises(StartFailed, match=r"relies on the entrypoint of image 'none'.*Give a command"):
        bench.create(entrypoint=None)

    assert bench.engine.list_containers({}) == []


def test_a_command_without_entrypoint_runs(bench):
    assert bench.run(entrypoint=None, command=("echo", "hello")) == "hello\n"


@pytest.mark.parametrize("can_mount", [True, False])
def test_a_missing_program_leaves_the_container_created(state_dir, bench_of, can_mount, mounts_refused):
    if can_mount and mounts_refused:
        pytest.skip(mounts_refused)
    engine = ProcessEngine(state_dir, can_mount=can_mount)
    bench_of(engine).create("no-such-program")

    with pytest.raises(StartFailed, match="There is no program 'no-such-program' on this machine"):
        engine.start_container("job-node-0")

    assert engine.inspect_container("job-node-0").state == "created"


def test_a_missing_working_directory_in_a_volume_is_reported(bench, tmp_path):
    mount = Mount(kind="bind", source=str(tmp_path), target="/data")
    bench.create("true", working_dir="/data/gone", mounts=(mount,))

    with pytest.raises(StartFailed, match=r"the working directory .*/gone cannot be used"):
        bench.engine.start_container("job-node-0")


def test_starting_twice_starts_once(bench, state_dir):
    bench.start("sleep", "60")
    before = record(state_dir)

    bench.engine.start_container("job-node-0")

    assert record(state_dir) == before


def test_an_exited_container_can_be_started_again(bench):
    bench.run("sh", "-c", "echo run")

    bench.engine.start_container("job-node-0")

    assert bench.output() == "run\nrun\n"


def test_stop_waits_for_the_grace_period(bench, until):
    bench.start("sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    until(lambda: b"ready" in b"".join(bench.engine.logs("job-node-0", follow=False)))

    bench.engine.stop_container("job-node-0", 20)

    assert bench.output().endswith("bye\n")
    assert bench.engine.inspect_container("job-node-0").exit.code == 5


def test_stop_kills_a_program_that_ignores_term(bench, until):
    bench.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    until(lambda: b"ready" in b"".join(bench.engine.logs("job-node-0", follow=False)))

    bench.engine.stop_container("job-node-0", 0.1)

    assert bench.engine.inspect_container("job-node-0").exit.code == 137


def test_pause_and_unpause(bench, until, state_dir):
    bench.start("sleep", "60")

    os.killpg(record(state_dir)["main"], signal.SIGSTOP)
    until(lambda: bench.engine.inspect_container("job-node-0").state == "paused")
    bench.engine.unpause_container("job-node-0")

    until(lambda: bench.engine.inspect_container("job-node-0").state == "running")


def test_a_paused_container_can_be_stopped(bench, until, state_dir):
    bench.start("sleep", "60")
    os.killpg(record(state_dir)["main"], signal.SIGSTOP)
    until(lambda: bench.engine.inspect_container("job-node-0").state == "paused")

    bench.engine.stop_container("job-node-0", 10)

    assert bench.engine.inspect_container("job-node-0").exit.code == 128 + signal.SIGTERM


@pytest.mark.skipif(not process_identity.LINUX, reason="needs Linux: subreaper")
def test_a_container_has_exited_only_when_all_its_processes_have(bench, tmp_path):
    script = (
        f"setsid sleep 300 & echo $! > {tmp_path}/escaped; sleep 300 & echo $! > {tmp_path}/child; exit 0"
    )
    bench.run("sh", "-c", script)

    assert bench.engine.inspect_container("job-node-0").exit.code == 0
    for file in ("escaped", "child"):
        assert not alive(int((tmp_path / file).read_text()))


def test_removal_kills_all_processes_and_leaves_no_file(bench, state_dir, tmp_path, until):
    bench.start("sh", "-c", f"setsid sleep 300 & echo $! > {tmp_path}/pid; sleep 300")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    run = record(state_dir)

    bench.engine.remove_container("job-node-0")

    assert list((state_dir / "containers").iterdir()) == []
    until(
        lambda: (
            not any(alive(p) for p in (run["main"], run["supervisor"], int((tmp_path / "pid").read_text())))
        )
    )


@pytest.mark.skipif(not process_identity.LINUX, reason="needs Linux: parent-death signal")
def test_a_killed_supervisor_ends_its_command_and_the_exit_is_unknown(bench, state_dir, tmp_path, until):
    bench.start("sh", "-c", f"setsid sleep 300 & echo $! > {tmp_path}/pid; sleep 300")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    run = record(state_dir)

    os.kill(run["supervisor"], signal.SIGKILL)
    until(lambda: bench.engine.inspect_container("job-node-0").state == "exited")

    state = bench.engine.inspect_container("job-node-0")
    assert state.exit.code is None
    assert "supervisor of this container was killed" in state.exit.error
    until(lambda: not alive(run["main"]) and not alive(int((tmp_path / "pid").read_text())))


def test_a_reused_process_id_is_not_taken_for_the_container(bench, state_dir, until):
    bench.run("true")
    path = state_dir / "containers" / "job-node-0"
    run = record(state_dir)
    (path / "exit.json").unlink()
    stranger = subprocess.Popen(["sleep", "60"])
    run.update(supervisor=stranger.pid, main=stranger.pid)
    (path / "run.json").write_text(json.dumps(run))

    state = bench.engine.inspect_container("job-node-0")
    bench.engine.stop_container("job-node-0", 0)
    bench.engine.remove_container("job-node-0")

    assert state.state == "exited"
    assert state.exit.code is None
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_container_outlives_the_daemon_that_started_it(state_dir, engine, bench_of, until):
    daemon = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from reconciler.engines.specs import ContainerSpec
        from reconciler.engines.process.process_engine import ProcessEngine
        engine = ProcessEngine(Path({str(state_dir)!r}))
        engine.create_container(ContainerSpec(name="job-node-0", image="none", labels={{"a": "b"}},
            entrypoint=("sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; echo done; exit 4")))
        engine.start_container("job-node-0")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    ended = subprocess.run([sys.executable, "-c", daemon], check=False)

    before = engine.inspect_container("job-node-0").state
    (state_dir / "containers" / "job-node-0" / "work" / "go").touch()

    assert ended.returncode == -signal.SIGKILL
    assert before == "running"
    assert bench_of(engine).output() == "done\n"
    assert engine.inspect_container("job-node-0").exit.code == 4


def test_the_supervisor_forwards_signals(bench, state_dir, until):
    bench.start("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")
    until(lambda: b"ready" in b"".join(bench.engine.logs("job-node-0", follow=False)))

    os.kill(record(state_dir)["supervisor"], signal.SIGTERM)
    bench.output()

    assert bench.engine.inspect_container("job-node-0").exit.code == 9


def test_containers_do_not_inherit_ignored_signals(bench):
    bench.run("sh", "-c", "kill -PIPE $$; exit 0")

    assert bench.engine.inspect_container("job-node-0").exit.code == 128 + signal.SIGPIPE


def test_lists_are_filtered_by_all_labels(bench):
    bench.create("true", name="one", labels={"job": "a", "rank": "0"})
    bench.create("true", name="two", labels={"job": "a", "rank": "1"})
    bench.create("true", name="three", labels={"job": "b", "rank": "0"})

    assert [c.name for c in bench.engine.list_containers({"job": "a", "rank": "1"})] == ["two"]
    assert len(bench.engine.list_containers({})) == 3


def test_incomplete_containers_are_not_listed(bench, state_dir):
    (state_dir / "containers" / ".new-1234").mkdir()
    (state_dir / "containers" / "odd").mkdir()

    assert bench.engine.list_containers({}) == []


def test_a_damaged_record_is_an_error_and_not_an_empty_list(bench, state_dir):
    bench.create("true")
    path = state_dir / "containers" / "job-node-0" / "spec.json"
    before = path.read_text()
    path.write_text("{")

    with pytest.raises(EngineError, match=r"damaged: .*job-node-0/spec\.json"):
        bench.engine.list_containers({})
    path.write_text(before)


def test_an_unusable_state_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EngineUnavailable, match="cannot keep its state"):
        ProcessEngine(tmp_path / "file" / "state")


def test_the_specification_is_readable_by_the_owner_only(bench, state_dir):
    bench.create("true", env={"TOKEN": "secret"})

    assert (state_dir / "containers" / "job-node-0" / "spec.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("#!/no/such/interpreter\n", 0o755, "nor a script with a #! line"),
        ("echo no first line\n", 0o755, "nor a script with a #! line"),
        ("#!/bin/sh\n", 0o644, "permission denied"),
    ],
)
def test_a_program_that_cannot_be_executed_is_explained(bench, tmp_path, text, mode, message):
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    bench.create(str(program))

    with pytest.raises(StartFailed, match=message):
        bench.engine.start_container("job-node-0")


def test_a_program_without_permission_does_not_hide_another(bench, tmp_path):
    for name, mode, text in (("first", 0o644, "no"), ("second", 0o755, "yes")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text(f"#!/bin/sh\necho {text}\n")
        (tmp_path / name / "tool").chmod(mode)

    out = bench.run("tool", env={"PATH": f"{tmp_path}/first:{tmp_path}/second:/bin:/usr/bin"})

    assert out == "yes\n"
