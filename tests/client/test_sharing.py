"""Clients and daemons on one folder: which process runs its jobs, and what remains when it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import MakeWorkspace, run_python
from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

HEAD = """\
import json, sys, time
from reconciler.client import ContainerBackendConfig, CustomTrainer, TrainerClient
from reconciler.client.options import Name

def wait_for_flag(seconds=30):
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("rank", os.environ["RANK"], "is up", flush=True)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not os.path.exists("/flags/go"):
        time.sleep(0.05)

job = sys.argv[1]
"""


@pytest.fixture
def workspace(make_workspace: MakeWorkspace) -> Workspace:
    """On Podman, with a runtime whose nodes see the folder ``flags``."""
    workspace = make_workspace("podman")
    flags = workspace.root / "flags"
    flags.mkdir()
    volumes = [{"name": "flags", "hostPath": {"path": str(flags)}}]
    mounts = [{"name": "flags", "mountPath": "/flags"}]
    workspace.write(
        "runtime.yaml",
        runtime(
            "rt", images.reference(), nodes=2, container={"volumeMounts": mounts}, pod={"volumes": volumes}
        ),
    )
    return workspace


def program(workspace: Workspace, name: str, body: str) -> Path:
    path = workspace.root / f"{name}.py"
    path.write_text(HEAD + body)
    return path


def run_client(workspace: Workspace, job: str, body: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, which must be a success; see HEAD for its names."""
    done = run_python(workspace, program(workspace, "client", body), job)
    assert done.returncode == 0, done.stderr
    return done


def test_jobs_outlive_the_process_and_the_next_one_continues(workspace: Workspace) -> None:
    job = unique("outlive")
    first = program(
        workspace,
        "first",
        "TrainerClient().train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n",
    )
    second = program(
        workspace,
        "second",
        "client = TrainerClient()\n"
        "open('flags/go', 'w').close()\n"
        "lines = list(client.get_job_logs(job, follow=True))\n"
        "print(json.dumps([client.wait_for_job_status(job, timeout=60).status, sorted(lines)]))\n",
    )

    started = run_python(workspace, first, job)

    assert started.returncode == 0, started.stderr
    states = {c["Name"].lstrip("/"): c["State"]["Status"] for c in workspace.containers(job)}
    assert states == {f"{job}-node-0": "running", f"{job}-node-1": "running"}, started.stderr
    ended = run_python(workspace, second, job)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == ["Complete", ["[0] rank 0 is up\n", "[1] rank 1 is up\n"]]
    assert "Traceback" not in started.stderr + ended.stderr
    eventually(lambda: not workspace.containers(job), "containers removed")


def test_daemon_on_the_folder_runs_the_jobs(workspace: Workspace) -> None:
    job = unique("daemon")
    (workspace.root / "flags" / "go").touch()
    with workspace.daemon():
        eventually(lambda: workspace.cli("get", "jobs").returncode == 0, "a daemon")
        eventually(
            lambda: list((workspace.root / "state/reconciler/locks").glob("*.lock")), "the daemon's lock"
        )
        # An address without an engine: the client must not need one.
        done = run_client(
            workspace,
            job,
            "client = TrainerClient(ContainerBackendConfig(container_host='unix:///nowhere.sock'))\n"
            "client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
            "print(client.wait_for_job_status(job, timeout=60).status)\n"
            "client.delete_job(job)\n",
        )

    assert done.stdout == "Complete\n"
    assert "Waiting for" not in done.stderr
    assert not (workspace.specs / f"{job}.yaml").exists()
    assert not (workspace.specs / f"{job}.status.yaml").exists()


def test_client_takes_over_when_the_one_that_runs_the_jobs_ends(workspace: Workspace) -> None:
    job = unique("successor")
    starter = program(
        workspace,
        "starter",
        "TrainerClient().train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
        "sys.stdin.readline()\n",
    )
    successor = program(
        workspace,
        "successor",
        "client = TrainerClient()\n"
        "client.wait_for_job_status(job, status={'Running'}, timeout=60)\n"
        "print('running', flush=True)\n"
        "print(client.wait_for_job_status(job, timeout=60).status)\n",
    )

    with (
        _started(workspace, starter, job) as first,
        _started(workspace, successor, job, after=f"{job}.status.yaml") as second,
    ):
        assert second.stdout is not None
        assert second.stdout.readline() == "running\n"
        first.communicate("\n", timeout=60)
        (workspace.root / "flags" / "go").touch()
        assert second.communicate(timeout=90)[0] == "Complete\n"


def _started(workspace: Workspace, path: Path, job: str, *, after: str = "") -> subprocess.Popen[str]:
    if after:
        eventually((workspace.specs / after).exists, after)
    return subprocess.Popen(
        [sys.executable, str(path), job],
        env=workspace.environment,
        cwd=workspace.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_in_the_default_folder_only_jobs_of_clients_run(workspace: Workspace) -> None:
    job, other = unique("mine"), unique("lying-there")
    workspace.write("other.yaml", shell(other, "rt", "echo never"))
    (workspace.root / "flags" / "go").touch()
    done = run_client(
        workspace,
        job,
        "import os\ndel os.environ['RECONCILER_SPECS']\n"
        "with TrainerClient() as client:\n"
        "    client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
        "    print(client.wait_for_job_status(job, timeout=60).status)\n"
        "    print(sorted((each.name, each.status) for each in client.list_jobs()))\n",
    )

    assert done.stdout.splitlines() == ["Complete", str([(other, "Created"), (job, "Complete")])]
    assert workspace.containers(other) == []
    assert not (workspace.specs / "other.status.yaml").exists()


def test_folder_has_one_engine_at_a_time(workspace: Workspace) -> None:
    job = unique("engine")
    done = run_client(
        workspace,
        job,
        "client = TrainerClient()\n"
        "client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
        "client.wait_for_job_status(job, status={'Running'}, timeout=60)\n"
        "other = TrainerClient(ContainerBackendConfig(container_runtime='process'))\n"
        "try:\n    other.train('rt', trainer=CustomTrainer(wait_for_flag))\n"
        "except ValueError as error:\n    print(error)\n"
        "open('flags/go', 'w').close()\n"
        "client.wait_for_job_status(job, timeout=60)\n",
    )

    assert f"run on podman: {job}." in done.stdout
    assert "use another folder for process" in done.stdout


def test_no_manifest_is_written_without_an_engine(workspace: Workspace) -> None:
    done = run_client(
        workspace,
        "no-engine",
        "client = TrainerClient(ContainerBackendConfig(container_host='unix:///nowhere.sock'))\n"
        "try:\n    client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
        "except RuntimeError as error:\n    print(type(error).__name__, error)\n"
        "print(client.list_jobs())\n",
    )

    assert done.stdout.startswith("NoEngine ")
    assert "/nowhere.sock" in done.stdout
    assert done.stdout.endswith("[]\n")
    assert not (workspace.specs / "no-engine.yaml").exists()


def test_name_used_by_several_clients_at_once_is_given_once(workspace: Workspace) -> None:
    job = unique("race")
    (workspace.root / "flags" / "go").touch()
    done = run_client(
        workspace,
        job,
        "import threading\n"
        "clients = [TrainerClient() for _ in range(4)]\n"
        "[client.get_runtime('rt') for client in clients]\n"
        "ready, seen = threading.Barrier(4), []\n"
        "def go(client):\n"
        "    ready.wait()\n"
        "    try:\n"
        "        seen.append(client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)]))\n"
        "    except ValueError as error:\n"
        "        seen.append(str(error).partition('.')[0])\n"
        "threads = [threading.Thread(target=go, args=[client]) for client in clients]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(json.dumps(sorted(seen)))\n"
        "print(clients[0].wait_for_job_status(job, timeout=60).status)\n",
    )

    seen, status = done.stdout.splitlines()
    assert json.loads(seen) == [*[f"There is a TrainJob {job} already"] * 3, job]
    assert status == "Complete"


def test_missing_steps_of_a_finished_job_are_errors_at_once(workspace: Workspace) -> None:
    job = unique("asked")
    (workspace.root / "flags" / "go").touch()
    done = run_client(
        workspace,
        job,
        "client = TrainerClient()\n"
        "client.train('rt', trainer=CustomTrainer(wait_for_flag), options=[Name(job)])\n"
        "client.wait_for_job_status(job, timeout=60)\n"
        "for call in (\n"
        "    lambda: client.get_job_logs(job, step='dataset-initializer'),\n"
        "    lambda: client.get_job_logs(job, node_index=2, follow=True),\n"
        "    lambda: client.wait_for_job_status(job, status={'Running'}),\n"
        "    lambda: client.wait_for_job_status(job, status=set()),\n"
        "    lambda: client.train(3),\n"
        "):\n"
        "    try:\n"
        "        print('returned', call())\n"
        "    except (ValueError, TimeoutError) as error:\n"
        "        print(error)\n"
        "print(list(client.get_job_logs(job, node_index=1)))\n"
        "print([each.name for each in client.list_jobs('rt')], client.list_jobs('torch-distributed'))\n",
    )

    lines = done.stdout.replace(job, "JOB").splitlines()
    assert lines[:3] == [
        "The job JOB has no step dataset-initializer. It has: node-0, node-1.",
        "The job JOB has no step node-2. It has: node-0, node-1.",
        "TrainJob JOB is Complete, and will not reach status: {'Running'}.",
    ]
    assert lines[3].startswith("Expected status set() must be a subset of")
    assert lines[4:] == [
        "runtime must be a runtime or the name of one, not 3.",
        "['rank 1 is up\\n']",
        "['JOB'] []",
    ]
