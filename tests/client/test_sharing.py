"""Clients, daemons and the end of processes: who runs the jobs of a folder, and what is left when they go."""

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

def until_told(seconds=30):
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


def test_jobs_outlive_the_process_and_the_next_one_goes_on_with_them(workspace: Workspace) -> None:
    job = unique("outlive")
    first = program(
        workspace,
        "first",
        "TrainerClient().train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n",
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


def test_a_daemon_on_the_folder_does_the_work(workspace: Workspace) -> None:
    job = unique("daemon")
    (workspace.root / "flags" / "go").touch()
    # An engine that nobody has: the client must not need one.
    client = program(
        workspace,
        "client",
        "client = TrainerClient(ContainerBackendConfig(container_host='unix:///nowhere.sock'))\n"
        "client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "print(client.wait_for_job_status(job, timeout=60).status)\n"
        "client.delete_job(job)\n",
    )

    with workspace.daemon():
        eventually(lambda: workspace.cli("get", "jobs").returncode == 0, "a daemon")
        eventually(
            lambda: list((workspace.root / "state/reconciler/locks").glob("*.lock")), "the daemon's lock"
        )
        done = run_python(workspace, client, job)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "Complete\n"
    assert "Waiting for" not in done.stderr
    assert not (workspace.specs / f"{job}.yaml").exists()
    assert not (workspace.specs / f"{job}.status.yaml").exists()


def test_a_client_takes_over_when_the_one_that_runs_the_jobs_ends(workspace: Workspace) -> None:
    job = unique("heir")
    starter = program(
        workspace,
        "starter",
        "TrainerClient().train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "sys.stdin.readline()\n",
    )
    heir = program(
        workspace,
        "heir",
        "client = TrainerClient()\n"
        "client.wait_for_job_status(job, status={'Running'}, timeout=60)\n"
        "print('running', flush=True)\n"
        "print(client.wait_for_job_status(job, timeout=60).status)\n",
    )

    with (
        _started(workspace, starter, job) as first,
        _started(workspace, heir, job, after=f"{job}.status.yaml") as second,
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


def test_of_a_folder_that_nobody_named_only_clients_jobs_are_run(workspace: Workspace) -> None:
    job, other = unique("mine"), unique("lying-there")
    workspace.write("other.yaml", shell(other, "rt", "echo never"))
    (workspace.root / "flags" / "go").touch()
    client = program(
        workspace,
        "client",
        "import os\ndel os.environ['RECONCILER_SPECS']\n"
        "with TrainerClient() as client:\n"
        "    client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "    print(client.wait_for_job_status(job, timeout=60).status)\n"
        "    print(sorted((each.name, each.status) for each in client.list_jobs()))\n",
    )

    done = run_python(workspace, client, job)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Complete", str([(other, "Created"), (job, "Complete")])]
    assert workspace.containers(other) == []
    assert not (workspace.specs / "other.status.yaml").exists()


def test_a_folder_works_with_one_engine_at_a_time(workspace: Workspace) -> None:
    job = unique("engine")
    client = program(
        workspace,
        "client",
        "client = TrainerClient()\n"
        "client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "client.wait_for_job_status(job, status={'Running'}, timeout=60)\n"
        "other = TrainerClient(ContainerBackendConfig(container_runtime='process'))\n"
        "try:\n    other.train('rt', trainer=CustomTrainer(until_told))\n"
        "except ValueError as error:\n    print(error)\n"
        "open('flags/go', 'w').close()\n"
        "client.wait_for_job_status(job, timeout=60)\n",
    )

    done = run_python(workspace, client, job)

    assert done.returncode == 0, done.stderr
    assert f"run on podman: {job}." in done.stdout
    assert "use another folder for process" in done.stdout


def test_without_an_engine_nothing_is_written(workspace: Workspace) -> None:
    client = program(
        workspace,
        "client",
        "client = TrainerClient(ContainerBackendConfig(container_host='unix:///nowhere.sock'))\n"
        "try:\n    client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "except RuntimeError as error:\n    print(type(error).__name__, error)\n"
        "print(client.list_jobs())\n",
    )

    done = run_python(workspace, client, "no-engine")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NoEngine ")
    assert "/nowhere.sock" in done.stdout
    assert done.stdout.endswith("[]\n")
    assert not (workspace.specs / "no-engine.yaml").exists()


def test_of_two_that_take_a_name_at_once_one_is_refused(workspace: Workspace) -> None:
    job = unique("race")
    (workspace.root / "flags" / "go").touch()
    client = program(
        workspace,
        "client",
        "import threading\n"
        "clients = [TrainerClient() for _ in range(4)]\n"
        "[client.get_runtime('rt') for client in clients]\n"
        "ready, seen = threading.Barrier(4), []\n"
        "def go(client):\n"
        "    ready.wait()\n"
        "    try:\n"
        "        seen.append(client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)]))\n"
        "    except ValueError as error:\n"
        "        seen.append(str(error).partition('.')[0])\n"
        "threads = [threading.Thread(target=go, args=[client]) for client in clients]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(json.dumps(sorted(seen)))\n"
        "print(clients[0].wait_for_job_status(job, timeout=60).status)\n",
    )

    done = run_python(workspace, client, job)

    assert done.returncode == 0, done.stderr
    seen, status = done.stdout.splitlines()
    assert json.loads(seen) == [*[f"There is a TrainJob {job} already"] * 3, job]
    assert status == "Complete"


def test_what_a_finished_job_never_had_is_said_at_once(workspace: Workspace) -> None:
    job = unique("asked")
    (workspace.root / "flags" / "go").touch()
    client = program(
        workspace,
        "client",
        "client = TrainerClient()\n"
        "client.train('rt', trainer=CustomTrainer(until_told), options=[Name(job)])\n"
        "client.wait_for_job_status(job, timeout=60)\n"
        "for ask in (\n"
        "    lambda: client.get_job_logs(job, step='dataset-initializer'),\n"
        "    lambda: client.get_job_logs(job, node_index=2, follow=True),\n"
        "    lambda: client.wait_for_job_status(job, status={'Running'}),\n"
        "    lambda: client.wait_for_job_status(job, status=set()),\n"
        "    lambda: client.train(3),\n"
        "):\n"
        "    try:\n"
        "        print('answered', ask())\n"
        "    except (ValueError, TimeoutError) as error:\n"
        "        print(error)\n"
        "print(list(client.get_job_logs(job, node_index=1)))\n"
        "print([each.name for each in client.list_jobs('rt')], client.list_jobs('torch-distributed'))\n",
    )

    done = run_python(workspace, client, job)

    assert done.returncode == 0, done.stderr
    said = done.stdout.replace(job, "JOB").splitlines()
    assert said[:3] == [
        "The job JOB has no step dataset-initializer. It has: node-0, node-1.",
        "The job JOB has no step node-2. It has: node-0, node-1.",
        "TrainJob JOB is Complete, and will not reach status: {'Running'}.",
    ]
    assert said[3].startswith("Expected status set() must be a subset of")
    assert said[4:] == [
        "runtime must be a runtime or the name of one, not 3.",
        "['rank 1 is up\\n']",
        "['JOB'] []",
    ]
