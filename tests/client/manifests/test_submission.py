"""The manifest of a job: what the SDK's Kubernetes backend would create, accepted by this project's admission."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from reconciler.api import load
from reconciler.client import constants
from reconciler.client.client_errors import InvalidRequest
from reconciler.client.manifests.initializer_manifests import Images
from reconciler.client.manifests.submission import Submission, checked_text, compose, resources
from reconciler.client.options import Name
from reconciler.client.runtime_objects import runtime_from
from reconciler.client.types.types import (
    BuiltinTrainer,
    CustomTrainer,
    CustomTrainerContainer,
    HuggingFaceDatasetInitializer,
    HuggingFaceModelInitializer,
    Initializer,
    TorchTuneConfig,
)
from reconciler.plan import build
from reconciler.sources.runtimes.builtin_runtimes import builtin_runtimes
from tests.client import specs_of_both
from tests.client.peer import peer_python

IMAGES = Images(dataset="fetch-data", model="fetch-model", timeout=60)
BUILTIN = {document.name: document for document in builtin_runtimes()}


def train() -> None:
    print("trained")


def submit(runtime: str = "torch-distributed", **arguments: Any) -> Submission:
    document = BUILTIN[runtime]
    fields = {"initializer": None, "trainer": None, "options": None, "namespace": "default", "images": IMAGES}
    return compose(runtime=runtime_from(document.raw), document=document, **{**fields, **arguments})


def checked(submission: Submission) -> str:
    return checked_text(submission, file="job.yaml", runtimes=BUILTIN.values())


@pytest.fixture(scope="module")
def peers() -> dict[str, Any]:
    """Specs of the SDK's Kubernetes backend for the same arguments."""
    done = subprocess.run(
        [peer_python(), str(Path(specs_of_both.__file__)), "kubeflow.trainer"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    specs: dict[str, Any] = json.loads(done.stdout.rpartition("SPECS ")[2])
    return specs


@pytest.mark.parametrize("case", list(specs_of_both.cases("reconciler.client")))
def test_the_spec_is_that_of_the_sdks_kubernetes_backend(peers: dict[str, Any], case: str) -> None:
    runtime, trainer, initializer, options = specs_of_both.cases("reconciler.client")[case]
    steps = [{"name": name} for name in ("dataset-initializer", "model-initializer", "node")]
    raw = {"spec": {"template": {"spec": {"replicatedJobs": steps}}}}

    made = compose(
        runtime=runtime,
        document=SimpleNamespace(raw=raw),  # type: ignore[arg-type]
        initializer=initializer,
        trainer=trainer,
        options=options,
        namespace="default",
        images=IMAGES,
    )

    spec = made.documents[0]["spec"]
    assert _comparable(spec) == _comparable(peers[case])
    if "command" in spec.get("trainer", {}) and spec["trainer"]["command"][-1].startswith("\nread"):
        # One difference, and a wanted one: the here-document is quoted.
        assert "<< 'EOM'\n" in spec["trainer"]["command"][-1]


def _comparable(spec: Any) -> Any:
    """Quantities as numbers where they are, and the script without what is meant to differ."""
    if isinstance(spec, dict):
        return {key: _comparable(value) for key, value in spec.items() if value not in (None, [])}
    if isinstance(spec, list):
        return [_comparable(value) for value in spec]
    if isinstance(spec, str) and "read -r -d ''" in spec:
        return spec.replace("<< 'EOM'", "<< EOM")
    if isinstance(spec, str) and re.fullmatch(r"\d+(\.\d+)?", spec):
        return float(spec)
    return spec


def test_a_job_is_accepted_by_admission_and_makes_a_plan() -> None:
    made = submit(
        trainer=CustomTrainer(func=train, num_nodes=2, resources_per_node={"cpu": 0.5, "memory": "1Gi"})
    )

    job = load(checked(made).encode(), "job.yaml").documents[0]

    plan = build(job.model, BUILTIN["torch-distributed"].model)  # type: ignore[arg-type]
    assert [i.name for i in plan.pods] == [f"{made.name}-node-0", f"{made.name}-node-1"]
    assert re.fullmatch(r"[a-z][0-9a-f]{11}", made.name)


def test_the_script_survives_the_manifest() -> None:
    made = submit(trainer=CustomTrainer(func=train))

    read = yaml.safe_load(checked(made))

    assert read["spec"]["trainer"]["command"] == made.documents[0]["spec"]["trainer"]["command"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"trainer": CustomTrainer(func=train, env={"PET_NNODES": "2"})}, "PET_NNODES"),
        ({"trainer": CustomTrainer(func=train, num_nodes=0)}, "num_nodes must be a whole number"),
        ({"trainer": CustomTrainer(func=train, env={"A": None})}, "the value of A must be a text"),
        ({"trainer": CustomTrainer(func=train, resources_per_node={"memory": "lots"})}, "memory"),
        ({"trainer": "train.py"}, "trainer type str is not supported"),
        ({"trainer": BuiltinTrainer(TorchTuneConfig())}, "can't be used with the runtime torch-distributed"),
        ({"trainer": CustomTrainer(func=train), "runtime": "torchtune-llama3.2-1b"}, "can't be used with"),
        ({"trainer": CustomTrainer(func=train, packages_to_install="numpy")}, "must be a list of texts"),
        ({"trainer": CustomTrainer(func=train, pip_index_urls=["u", 1])}, "pip_index_urls must be a list"),
        ({"trainer": CustomTrainer(func=train, resources_per_node={"gpu": 0.5})}, "devices are not divided"),
        ({"options": Name("x")}, "options must be a list of options"),
        ({"options": [{"name": "x"}]}, "options must be a list of options"),
        ({"options": [lambda job, *_: job.update(metadata={"name": "Not A Name"})]}, "metadata.name"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_with_the_reason(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        checked(submit(**arguments))


def test_gpu_and_mig_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="cannot be requested together"):
        resources({"gpu": 1, "mig-1g.5gb": 1})


def test_a_container_of_ones_own_needs_no_command() -> None:
    made = submit(trainer=CustomTrainerContainer(image="mine:1", env={"EPOCHS": 3}))  # type: ignore[dict-item]

    assert made.documents[0]["spec"]["trainer"] == {
        "image": "mine:1",
        "env": [{"name": "EPOCHS", "value": "3"}],
    }


def test_initializers_of_a_runtime_without_them_bring_a_runtime_of_their_own() -> None:
    initializer = Initializer(
        dataset=HuggingFaceDatasetInitializer("hf://org/data"),
        model=HuggingFaceModelInitializer("hf://org/model", access_token="secret"),
    )

    made = submit(trainer=CustomTrainer(func=train), initializer=initializer)

    job, runtime = load(checked(made).encode(), "job.yaml").documents
    plan = build(job.model, runtime.model)  # type: ignore[arg-type]
    assert {step.name: {after.name for after in step.after} for step in plan.steps} == {
        "dataset-initializer": set(),
        "model-initializer": set(),
        "node": {"dataset-initializer", "model-initializer"},
    }
    assert job.raw["spec"]["runtimeRef"] == {"name": f"{made.name}-runtime", "kind": "TrainingRuntime"}
    assert made.secret
    mounts = [{m.path for m in c.mounts} for i in plan.pods for c in i.containers]
    assert all(constants.WORKSPACE_PATH in paths for paths in mounts)


def test_a_runtime_with_the_steps_is_used_as_it_is() -> None:
    made = submit(
        "torchtune-llama3.2-1b",
        trainer=BuiltinTrainer(TorchTuneConfig(epochs=1)),
        initializer=Initializer(dataset=HuggingFaceDatasetInitializer("hf://org/data")),
    )

    assert len(made.documents) == 1
    assert made.documents[0]["spec"]["initializer"]["dataset"]["storageUri"] == "hf://org/data"
    assert checked(made)


@pytest.mark.parametrize("runtime", ["torch-distributed", "torchtune-llama3.2-1b"])
def test_a_local_dataset_takes_no_step_and_no_image(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "train.csv").write_text("1,2\n")
    torchtune = runtime.startswith("torchtune")
    trainer = BuiltinTrainer(TorchTuneConfig()) if torchtune else CustomTrainer(func=train)

    made = submit(
        runtime,
        trainer=trainer,
        initializer=Initializer(dataset=HuggingFaceDatasetInitializer(f"file://{tmp_path}")),
    )

    job, own = load(checked(made).encode(), "job.yaml").documents
    plan = build(job.model, own.model)  # type: ignore[arg-type]
    assert "dataset-initializer" not in {step.name for step in plan.steps}
    node = next(i for i in plan.pods if i.step == "node")
    mount = next(m for m in node.containers[0].mounts if m.path == constants.DATASET_PATH)
    assert mount.read_only
    assert next(v for v in node.volumes if v.name == mount.volume).raw["hostPath"]["path"] == str(tmp_path)


@pytest.mark.parametrize("uri", ["file:///no/such/folder", "file://host/x"])
def test_a_local_dataset_that_is_not_there_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(uri)):
        submit(initializer=Initializer(dataset=HuggingFaceDatasetInitializer(uri)))


def test_importing_the_client_costs_the_command_line_nothing() -> None:
    program = (
        "import sys, reconciler.client; print(sorted(m for m in ('pydantic', 'yaml') if m in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
