"""The runtime of the text that this project started from, as it stands: its trainer trains.

It has no label for its trainer and the ``numProcPerNode`` of older Trainers. An earlier version called the file
invalid; without the field, its jobs were Complete and the function had never run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import docker
import pytest

from tests.client.conftest import ensure_named_torch_image
from tests.client.seed_examples import TEXT, blocks
from tests.e2e.conftest import MakeWorkspace
from tests.support import images
from tests.support.engines import EngineMissing
from tests.support.workspaces import PYTHON, Workspace

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not TEXT.is_file(), reason=f"the text with the example is not at {TEXT}"),
]
IMAGE = ("myregistry.com/pytorch-custom", "latest")

PROGRAM = """\
from reconciler.client import (
    ContainerBackendConfig, CustomTrainer, TrainerClient, TrainingRuntimeSource
)

def train():
    import os
    print("the function ran:", os.environ["PET_NPROC_PER_NODE"], os.environ["RANK"])

client = TrainerClient(ContainerBackendConfig(
    container_runtime=ENGINE,
    pull_policy="Never",
    runtime_source=TrainingRuntimeSource(sources=[SOURCE]),
))
runtime = client.get_runtime("torch-custom")
job = client.train(runtime=runtime, trainer=CustomTrainer(func=train))
print("status:", client.wait_for_job_status(job, status={"Complete", "Failed"}, timeout=150).status)
print("log:", "".join(client.get_job_logs(job)))
"""


def _example() -> str:
    return next(b.code for b in blocks(TEXT.read_text()) if b.language == "yaml" and "torch-custom" in b.code)


def _ensure_image(workspace: Workspace) -> None:
    """Tags the test image with PyTorch by the name in the example; a real image is left as it is."""
    try:
        ensure_named_torch_image(workspace.engine, workspace.url)
        local = images.ensure_torch_image(workspace.engine, url=workspace.url)
    except (EngineMissing, images.ImageMissing) as error:
        pytest.skip(str(error))
    with workspace.api() as client:
        try:
            client.api.inspect_image(":".join(IMAGE))
        except docker.errors.ImageNotFound:
            client.api.tag(local, *IMAGE)


def _run_program(workspace: Workspace, source: Path) -> subprocess.CompletedProcess[str]:
    program = workspace.root / "program.py"
    text = PROGRAM.replace("ENGINE", repr(workspace.engine)).replace("SOURCE", repr(str(source)))
    program.write_text(text)
    return subprocess.run(
        [PYTHON, str(program)],
        env=workspace.environment | {"PATH": os.environ["PATH"]},
        cwd=workspace.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.one_engine
@pytest.mark.timeout(280)
def test_a_function_runs_with_the_examples_runtime(containers: Workspace) -> None:
    _ensure_image(containers)
    source = containers.root / "runtime.yaml"
    source.write_text(_example())

    done = _run_program(containers, source)

    assert done.returncode == 0, done.stderr[-4000:]
    assert "status: Complete" in done.stdout
    assert "the function ran:" in done.stdout


def test_the_example_is_valid_and_what_a_cluster_makes_of_it_is_said(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("process")
    workspace.write("runtime.yaml", _example())
    job = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "demo"},
        "spec": {"runtimeRef": {"name": "torch-custom"}, "trainer": {"command": ["true"], "numNodes": 2}},
    }
    workspace.write("job.yaml", job)

    validated = workspace.cli("validate", str(workspace.specs))
    planned = workspace.cli("plan", str(workspace.specs), "-o", "json")

    assert validated.returncode == 0, validated.stdout
    assert (
        "spec.mlPolicy.torch.numProcPerNode: is honoured here, but newer Trainers refuse it"
        in validated.stdout
    )
    assert "spec.trainer: no replicated job" in validated.stdout
    assert "a cluster would ignore spec.trainer" in validated.stdout
    assert planned.stdout.count('"command": [\n') == 2
    assert planned.stdout.count('"true"') == 2
