"""Jobs that try to use what belongs to others: containers, networks, names, labels, addresses."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from reconciler import names
from tests.support import images
from tests.support.manifests import annotated, runtime, shell
from tests.support.workspaces import Workspace, environment_of, eventually, unique


@contextlib.contextmanager
def foreign_objects(workspace: Workspace, job: str) -> Iterator[dict[str, str]]:
    """A container and a network with names that the job needs, labelled as another instance's."""
    labels = {
        names.LABEL_INSTANCE: "somebody-else",
        names.LABEL_NAMESPACE: "default",
        names.LABEL_JOB: job,
        "owner": job,
    }
    with workspace.api() as client:
        container = client.api.create_container(
            images.reference(), command=["sleep", "600"], name=f"{job}-node-0", labels=labels
        )["Id"]
        network = client.api.create_network(f"{job}-net", driver="bridge", labels=labels)["Id"]
        try:
            yield {"container": container, "network": network}
        finally:
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_container(container, force=True)
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_network(network)


@pytest.mark.one_engine
def test_objects_of_another_instance_are_neither_adopted_nor_removed(containers: Workspace) -> None:
    job = unique("taken")
    path = containers.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))
    with foreign_objects(containers, job) as theirs:
        with containers.daemon():
            eventually(
                lambda: "NameTaken" in containers.said(job), "it says that the name is taken", seconds=90
            )
            path.unlink()
            eventually(lambda: not containers.status(job), "the job is gone")

        with containers.api() as client:
            assert client.api.inspect_container(theirs["container"])["State"]["Status"] == "created"
            assert client.api.inspect_network(theirs["network"])["Name"] == f"{job}-net"


@pytest.mark.one_engine
def test_manifest_cannot_override_labels_and_addresses(
    containers: Workspace,
) -> None:
    job = unique("labels")
    rt = runtime(
        "rt",
        images.reference(),
        pod={
            "hostAliases": [
                {"ip": "6.6.6.6", "hostnames": [f"{job}-node-0", "registry.example"]},
            ]
        },
    )
    template = rt["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    template["metadata"] = {
        "labels": {
            names.LABEL_INSTANCE: "another",
            names.LABEL_JOB: "another",
            names.LABEL_UID: "another",
            names.LABEL_DEVICES: "gpu0",
            names.KEY_PREFIX + "made-up": "x",
            "team": "mine",
        }
    }
    script = f"getent hosts {job}-node-0; getent hosts registry.example; sleep 600"
    containers.write("j.yaml", rt, shell(job, "rt", script))
    with containers.daemon():
        containers.until_phase(job, "Running", seconds=90)
        eventually(lambda: "registry.example" in containers.log(job, 0), "it has looked names up")
        (found,) = containers.containers(job)
        uid = containers.documents()[0]["metadata"]["uid"]

    labels = found["Config"]["Labels"]
    assert labels[names.LABEL_INSTANCE] == containers.instance
    assert labels[names.LABEL_JOB] == job
    assert labels[names.LABEL_UID] == uid
    assert names.LABEL_DEVICES not in labels
    assert names.KEY_PREFIX + "made-up" not in labels
    assert labels["team"] == "mine"
    address = environment_of(found)["MASTER_ADDR"]
    said = containers.log(job, 0).splitlines()
    own = {line.split()[0] for line in said if f"{job}-node-0" in line}
    assert own == {address}, "the job's own names win"
    assert said[-1].split()[0] == "6.6.6.6", "what is nobody's in the job is the manifest's to name"


@pytest.mark.parametrize(
    "annotation", [{"priority": "9" * 400}, {"stall-timeout": "-1"}, {"restart-scope": "\x1b[2J"}]
)
def test_invalid_annotations_are_harmless(processes: Workspace, annotation: dict[str, str]) -> None:
    job = unique("notes")
    marks = {names.KEY_PREFIX + key: value for key, value in annotation.items()}
    processes.write("j.yaml", runtime("rt", images.reference()), annotated(shell(job, "rt", "true"), **marks))

    done = processes.cli("run", "--wait", timeout=60)

    assert processes.phase(job) in {"Complete", "Invalid"}, done.stderr
    assert "\x1b[2J" not in done.stdout + done.stderr


def test_container_output_cannot_control_the_terminal(processes: Workspace) -> None:
    job = unique("escape")
    script = r"printf '\033]0;owned\007\033[2Jgone\033[6n\n'; exit 1"
    processes.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", script))
    processes.cli("run", "--wait", timeout=60)

    for command in (["describe", job], ["get", "jobs", "-o", "wide"], ["logs", job]):
        shown = on_a_terminal(processes, command)
        assert "gone" in shown or command[0] == "get"
        kept = re.findall(r"\x1b(?!\[[0-9;]*m)[^\x1b]{0,6}", shown)
        assert kept == [], command
        assert "\x07" not in shown


def on_a_terminal(workspace: Workspace, command: list[str]) -> str:
    """Returns what a command prints on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:  # pragma: no cover  (the child)
        os.chdir(workspace.root)
        program = [sys.executable, "-m", "reconciler", *command]
        os.execvpe(program[0], program, workspace.environment | {"TERM": "xterm"})
    chunks: list[bytes] = []
    with contextlib.suppress(OSError):
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, b"".join(chunks).decode(errors="replace")
    return b"".join(chunks).decode(errors="replace")


def test_daemon_ignores_the_host_paths_that_a_client_grants_itself(
    make_workspace: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = make_workspace("podman")
    data = tmp_path_factory.mktemp("dataset")
    (data / "rows").write_text("42\n")
    job = unique("local")
    program = workspace.root / "train.py"
    program.write_text(
        "import sys\n"
        "from reconciler.client import TrainerClient, CustomTrainerContainer\n"
        "from reconciler.client import Initializer, HuggingFaceDatasetInitializer\n"
        "from reconciler.client.options import Name\n"
        "job, data = sys.argv[1:]\n"
        "client = TrainerClient()\n"
        "client.train('rt', initializer=Initializer(dataset=HuggingFaceDatasetInitializer(\n"
        "    storage_uri='file://' + data)), options=[Name(job)])\n"
        "print(client.wait_for_job_status(job, timeout=90).status)\n"
        "client.close()\n"
    )
    workspace.write(
        "rt.yaml",
        runtime("rt", images.reference(), container={"command": ["cat", "/workspace/dataset/rows"]}),
    )

    done = run(workspace, program, job, str(data))

    assert "Complete" in done, done
    assert workspace.log(job, 0) == "42\n"
    workspace.cli("rerun", job)
    workspace.cli("run", "--wait", timeout=60)
    assert "policy.hostPaths" in workspace.said(job), "a daemon does not take the client's word"


def run(workspace: Workspace, program: Any, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(program), *arguments], env=workspace.environment, cwd=workspace.root,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
