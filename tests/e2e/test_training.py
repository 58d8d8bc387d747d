"""Whole jobs through the command line on real engines: the training that the project is for."""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import images
from tests.support.manifests import UNTIL_TERM, condition, runtime, shell
from tests.support.workspaces import ROOT, Workspace, environment_of, eventually, unique

pytestmark = pytest.mark.engine

EXAMPLES = ROOT / "specs" / "examples"
EPOCH = re.compile(r"^epoch=\d+ loss=[0-9.]+ accuracy=([0-9.]+)$", re.MULTILINE)
RANK = re.compile(r"^rank=(\d+) world=(\d+) node=(\d+) master=(\S+):(\d+)$", re.MULTILINE)


def _digits(workspace: Workspace, site: Path) -> tuple[str, list[dict[str, Any]]]:
    """The example as it is, but for names of its own and the test's runtime."""
    job = unique("digits")
    text = (EXAMPLES / "digits-ddp.yaml").read_text()
    config, trainjob = yaml.safe_load_all(text.replace("claimName: digits", f"claimName: {job}"))
    trainjob["metadata"]["name"] = job
    trainjob["spec"]["runtimeRef"]["name"] = "torch-test"
    torch = images.torch_runtime(site, name="torch-test")
    if workspace.engine == "process":
        pod = torch["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]  # type: ignore[index]
        del pod["volumes"], pod["containers"][0]["volumeMounts"]
        pod["containers"][0]["env"][0]["value"] = str(site)
    return job, [config, trainjob, torch]


@pytest.mark.one_engine
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_three_nodes_train_with_ddp_to_complete(workspace: Workspace, torch_site: Path) -> None:
    if workspace.engine == "process" and sys.version_info[:2] != (3, 11):
        pytest.skip("PyTorch for tests is installed for Python 3.11, which this is not")
    job, documents = _digits(workspace, torch_site)
    workspace.write("digits.yaml", *documents)

    done = workspace.cli("run", "--wait", "--no-auto-remove", timeout=200)

    status = workspace.status(job)
    logs = [workspace.log(job, rank) for rank in range(3)]
    assert done.returncode == 0, (status, logs[0][-2000:], done.stderr[-3000:])
    assert status["phase"] == "Complete"
    assert condition(status, "Complete")["status"] == "True"
    # The loss is all-reduced: each epoch's line is the same on all ranks, and the model has learnt.
    epochs = [re.findall(r"^epoch=.*$", log, re.MULTILINE) for log in logs]
    assert len(epochs[0]) == 8
    assert epochs[0] == epochs[1] == epochs[2]
    assert float(EPOCH.findall(logs[0])[-1]) > 0.93
    # Container index, RANK and torch's node rank are one and the same; the master is an address.
    for index, log in enumerate(logs):
        rank, world, node, master, _port = RANK.search(log).groups()  # type: ignore[union-attr]
        assert (int(rank), int(world), int(node)) == (index, 3, index)
        ipaddress.ip_address(master)
    if workspace.engine != "process":
        _check_containers(workspace, job)


def _check_containers(workspace: Workspace, job: str) -> None:
    containers = workspace.containers(job)
    assert [c["Name"].lstrip("/") for c in containers] == [f"{job}-node-{rank}" for rank in range(3)]
    addresses = {node["rank"]: node["ip"] for node in workspace.status(job)["nodes"]}
    for index, container in enumerate(containers):
        env = environment_of(container)
        labels = container["Config"]["Labels"]
        assert env["RANK"] == env["PET_NODE_RANK"] == str(index)
        assert env["WORLD_SIZE"] == env["PET_NNODES"] == "3"
        assert env["MASTER_ADDR"] == env["PET_MASTER_ADDR"] == addresses[0]
        assert env["MASTER_PORT"] == env["PET_MASTER_PORT"] == "29500"
        assert labels["kubeflow.org/job-name"] == labels["trainer.kubeflow.org/trainjob-name"] == job
        assert labels["reconciler.trainer.kubeflow.org/rank"] == str(index)
        assert container["Config"]["Hostname"] == f"{job}-node-{index}"
        assert list(container["NetworkSettings"]["Networks"]) == [f"{job}-net"]


def test_a_finished_job_leaves_nothing_on_the_engine_but_its_logs(containers: Workspace) -> None:
    job = unique("tidy")
    containers.write("j.yaml", runtime("rt", images.reference(), nodes=2), shell(job, "rt", "echo was here"))

    done = containers.cli("run", "--wait")

    assert done.returncode == 0, done.stderr[-3000:]
    assert containers.containers(job) == []
    with containers.api() as client:
        assert client.networks.list(names=[f"{job}-net"]) == []
    assert [containers.log(job, rank) for rank in range(2)] == ["was here\n", "was here\n"]


@pytest.mark.one_engine
def test_deleting_the_manifest_removes_job_and_sidecar(workspace: Workspace) -> None:
    job = unique("gone")
    path = workspace.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", UNTIL_TERM))

    with workspace.daemon("--allow-empty"):
        workspace.until_phase(job, "Running")
        path.unlink()
        eventually(lambda: not list(workspace.specs.rglob("*.status.yaml")), "sidecar gone")
        if workspace.engine != "process":
            eventually(lambda: not workspace.containers(job), "containers gone")


def test_ranks_find_each_other_by_name_and_address(containers: Workspace) -> None:
    job = unique("names")
    # Each waits for the others to have found everybody: an ended container answers nobody.
    script = """
        for host in JOB-node-0 JOB-node-1 JOB-node-2 $MASTER_ADDR; do
            until ping -c1 -W2 $host; do :; done
        done
        touch /all/$RANK
        until [ -e /all/0 ] && [ -e /all/1 ] && [ -e /all/2 ]; do sleep 0.1; done
    """.replace("JOB", job)
    shared = containers.root / "all"
    shared.mkdir()
    rt = runtime(
        "rt",
        images.reference(),
        nodes=3,
        container={"volumeMounts": [{"name": "all", "mountPath": "/all"}]},
        pod={"volumes": [{"name": "all", "hostPath": {"path": str(shared)}}]},
    )
    containers.write("j.yaml", rt, shell(job, "rt", script))

    done = containers.cli("run", "--wait", timeout=60)

    assert done.returncode == 0, (containers.log(job, 0), containers.log(job, 2), done.stderr[-2000:])


def test_a_killed_daemon_is_followed_by_one_that_goes_on(workspace: Workspace) -> None:
    job = unique("crash")
    flag = workspace.root / "flags" / "flag"
    flag.parent.mkdir()
    script = "echo started; while [ ! -e /flagdir/flag ]; do sleep 0.1; done; echo ended"
    if workspace.engine == "process":
        script = script.replace("/flagdir", str(flag.parent))
        container, pod = None, None
    else:
        container = {"volumeMounts": [{"name": "flag", "mountPath": "/flagdir"}]}
        pod = {"volumes": [{"name": "flag", "hostPath": {"path": str(flag.parent)}}]}
    workspace.write(
        "j.yaml",
        runtime("rt", images.reference(), nodes=2, container=container, pod=pod),
        shell(job, "rt", script),
    )
    with workspace.daemon() as daemon:
        workspace.until_phase(job, "Running")
        daemon.kill()

    before = workspace.status(job)["nodes"]
    with workspace.daemon():
        workspace.until_phase(job, "Running")
        flag.touch()
        status = workspace.until_phase(job, "Complete")

    # The same containers, never started twice, their logs whole.
    assert [n["containerID"] for n in status["nodes"]] == [n["containerID"] for n in before]
    assert [workspace.log(job, rank) for rank in range(2)] == ["started\nended\n"] * 2


@pytest.mark.one_engine
def test_a_failing_command_fails_the_job_and_names_the_rank(workspace: Workspace) -> None:
    job = unique("fails")
    workspace.write(
        "j.yaml",
        runtime("rt", images.reference(), nodes=2),
        shell(job, "rt", 'if [ "$RANK" = 1 ]; then echo no good; exit 7; fi'),
    )

    done = workspace.cli("run", "--wait")

    status = workspace.status(job)
    assert done.returncode == 1
    assert status["phase"] == "Failed"
    node = next(n for n in status["nodes"] if n["rank"] == 1)
    assert node["exitCode"] == 7
    assert "no good" in Path(node["log"]).read_text()


@pytest.mark.one_engine
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_openmpi_runs_over_two_containers(make_workspace: Any, engine: str) -> None:
    workspace = make_workspace(engine, image="mpi")
    job = unique("pi")
    text = (EXAMPLES / "mpi-pi.yaml").read_text()
    text = text.replace("ghcr.io/kubeflow/trainer/deepspeed-runtime", images.reference("mpi"))
    rt, trainjob = yaml.safe_load_all(text)
    trainjob["metadata"]["name"] = job
    workspace.write("pi.yaml", rt, trainjob)

    done = workspace.cli("run", "--wait", timeout=150)

    folder = workspace.root / "state" / "reconciler" / "logs" / "default" / job
    logs = "\n".join(path.read_text(errors="replace") for path in folder.glob("*/*.log"))
    assert done.returncode == 0, (workspace.status(job), logs, done.stderr[-3000:])
    lines = re.findall(r"rank=(\d) size=2 host=(\S+) pi=3\.14159265", logs)
    assert {rank for rank, _ in lines} == {"0", "1"}
    assert len({host for _, host in lines}) == 2


@pytest.mark.one_engine
@pytest.mark.parametrize("engine", ["podman", "docker", "process"])
def test_the_hello_example_runs_as_it_is_but_for_its_image(make_workspace: Any, engine: str) -> None:
    workspace = make_workspace(engine)
    job = unique("hello")
    text = (EXAMPLES / "hello.yaml").read_text()
    text = text.replace("docker.io/library/busybox:1.36", images.reference())
    rt, trainjob = yaml.safe_load_all(text)
    trainjob["metadata"]["name"] = job
    workspace.write("hello.yaml", rt, trainjob)

    done = workspace.cli("run", "--wait")

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Hello from node 0 of 2" in workspace.log(job, 0)
    assert "Hello from node 1 of 2" in workspace.log(job, 1)


def test_every_example_is_valid(processes: Workspace) -> None:
    done = processes.cli("validate", str(EXAMPLES))

    assert done.returncode == 0, done.stdout + done.stderr
