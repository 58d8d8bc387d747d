"""Every example of the text that this project started from, with the import line changed and nothing else."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.client.conftest import MakeWorkspace, run_python
from tests.client.seed_examples import TEXT, Block, blocks, with_client_imported
from tests.support.engines import RUN_DIR
from tests.support.workspaces import Workspace, environment_of, eventually

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not TEXT.is_file(), reason=f"the text with the examples is not at {TEXT}"),
]

#: Runs blocks one after the other in one namespace, each from a file of its own, so that functions have a source.
DRIVER = """\
import sys, time
from pathlib import Path

namespace = {"__name__": "__main__"}
for path in sys.argv[1:]:
    started = time.monotonic()
    exec(compile(Path(path).read_text(), path, "exec"), namespace)
    print(f"### {Path(path).stem} done after {time.monotonic() - started:.2f} s", flush=True)
print("### job", namespace.get("job_name"))
"""


def _blocks(language: str) -> list[Block]:
    return [block for block in blocks(TEXT.read_text()) if block.language == language]


def _write(workspace: Workspace, examples: list[Block]) -> list[str]:
    """One file a block; on Docker with the one line changed that the text names."""
    paths = []
    for block in examples:
        code = with_client_imported(block.code)
        if workspace.engine == "docker":
            code = code.replace('container_runtime="podman"', 'container_runtime="docker"')
        # One of the text's Python blocks ends with a shell command, which another test runs as such.
        code = "".join(f"{line}\n" for line in code.splitlines() if not line.startswith("podman rm"))
        path = workspace.root / f"line_{block.line}.py"
        path.write_text(code)
        paths.append(str(path))
    return paths


def _run(workspace: Workspace, paths: list[str], *, timeout: float = 280) -> str:
    driver = workspace.root / "driver.py"
    driver.write_text(DRIVER)
    done = run_python(workspace, driver, *paths, timeout=timeout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "Traceback" not in done.stderr, done.stderr[-6000:]
    return done.stdout


@pytest.fixture(params=["podman", "docker"])
def workspace(request: pytest.FixtureRequest, make_workspace: MakeWorkspace) -> Workspace:
    return make_workspace(request.param, image="torch")


def test_text_has_the_examples_that_are_run_here() -> None:
    python = _blocks("python")
    assert len(python) == 14
    assert sum("client.train(" in block.code for block in python) == 3


@pytest.mark.one_engine
@pytest.mark.timeout(300)
def test_every_python_example_runs_in_order(workspace: Workspace) -> None:
    paths = _write(workspace, _blocks("python"))

    output = _run(workspace, paths)

    assert output.count("### line_") == len(paths)
    assert "Training job started: " in output
    assert "Job completed with status: Complete" in output
    assert "Runtime: torch-distributed\n" in output
    # The four-node job: followed on node 0, then read node by node.
    for rank in range(4):
        assert f"=== Logs from node {rank} ===" in output
        assert f"[Rank {rank}] Training epoch 5" in output.split("=== Logs from node 0 ===")[1]
        assert f"[Rank {rank}] Training complete" in output
    # Both jobs that the text deletes are gone, and so is everything else.
    assert workspace.containers() == []
    assert not list(workspace.specs.glob("*.yaml")) or "Complete" in output


@pytest.mark.timeout(200)
def test_inspecting_a_job_with_the_engines_own_command_line(workspace: Workspace) -> None:
    examples = _blocks("python")
    networking = next(block for block in examples if "def test_networking" in block.code)
    paths = _write(workspace, [networking])
    program = workspace.root / "train.py"
    program.write_text(
        "from reconciler.client import ContainerBackendConfig, CustomTrainer, TrainerClient\n"
        f'client = TrainerClient(ContainerBackendConfig(container_runtime="{workspace.engine}", auto_remove=False))\n'
        "job_name = client.train(trainer=CustomTrainer(func=test_networking, num_nodes=2))\n"
        "print(client.wait_for_job_status(job_name, timeout=150).status)\n"
    )

    output = _run(workspace, [*paths, str(program)])

    job = output.rsplit("### job", 1)[1].strip()
    containers = workspace.containers(job)
    address = {c["Name"].lstrip("/"): environment_of(c)["MASTER_ADDR"] for c in containers}
    assert set(address) == {f"{job}-node-0", f"{job}-node-1"}
    command_line = _CommandLine(workspace, job)
    bash = {block.heading: block.code for block in _blocks("bash")}
    for line in _commands(bash["Inspecting Containers with Podman CLI"]):
        shown = command_line.run(line)
        if " ps " in line:
            assert all(name in shown for name in address)
        elif " inspect " in line:
            assert json.loads(shown)[0]["Name"].lstrip("/") == f"{job}-node-0"
        elif " logs " in line:
            assert f"Rank 0: Master address (IP): {address[f'{job}-node-0']}" in shown
    network = next(line for line in _commands(bash["DNS Resolution Issues"]) if "network inspect" in line)
    if workspace.engine == "podman":
        assert '"dns_enabled": true' in command_line.run(network)
    else:
        assert f"{job}-net" in command_line.run(network.partition("|")[0])
    by_hand = next(line for line in _blocks("python")[-2].code.splitlines() if "podman rm" in line).strip()
    command_line.run(by_hand)
    eventually(lambda: not workspace.containers(job), "the containers removed by hand")


def _commands(code: str) -> list[str]:
    """The commands that can be run here: no comments, no other socket, no terminal."""
    lines = [line.strip() for line in code.splitlines()]
    return [
        line
        for line in lines
        if line and not line.startswith("#") and "--url" not in line and " -it " not in line
    ]


class _CommandLine:
    """Commands of the text against the engine of the test."""

    def __init__(self, workspace: Workspace, job: str) -> None:
        self._workspace = workspace
        self._job = job

    def run(self, line: str) -> str:
        command = line.replace("<job-name>", self._job)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
        if self._workspace.engine == "docker":
            command = command.replace("podman ", "docker ")
            environment["DOCKER_HOST"] = self._workspace.url
        else:
            command = command.replace("podman ", "podman --remote ")
            environment["CONTAINER_HOST"] = self._workspace.url
            if (conf := RUN_DIR / "containers.conf").exists():
                environment["CONTAINERS_CONF"] = str(conf)
        done = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr
