"""The manifest of ``train()``: what the SDK's Kubernetes backend creates, accepted by admission."""

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
from reconciler.client import ContainerBackendConfig, constants
from reconciler.client.client_errors import InvalidRequest
from reconciler.client.manifests.submission import Submission, build_submission, render_checked
from reconciler.client.manifests.trainer_spec import build_resources
from reconciler.client.options import Name
from reconciler.client.runtime_objects import parse_runtime
from reconciler.client.types.types import (
    BuiltinTrainer,
    CustomTrainer,
    CustomTrainerContainer,
    HuggingFaceDatasetInitializer,
    HuggingFaceModelInitializer,
    Initializer,
    TorchTuneConfig,
)
from reconciler.plan.builder import build
from reconciler.sources.runtimes.builtin_runtimes import load_builtin_runtimes
from tests.client import trainjob_specs
from tests.client.kubeflow_sdk import sdk_python

CONFIG = ContainerBackendConfig(dataset_initializer_image="fetch-data", model_initializer_image="fetch-model")
BUILTIN = {document.name: document for document in load_builtin_runtimes()}


def train() -> None:
    print("trained")


def make_submission(runtime: str = "torch-distributed", **arguments: Any) -> Submission:
    document = BUILTIN[runtime]
    fields = {"initializer": None, "trainer": None, "options": None, "namespace": "default", "config": CONFIG}
    return build_submission(runtime=parse_runtime(document.raw), document=document, **{**fields, **arguments})


def checked(submission: Submission) -> str:
    return render_checked(submission, file="job.yaml", runtimes=BUILTIN.values())


@pytest.fixture(scope="module")
def sdk_specs() -> dict[str, Any]:
    """Specs of the SDK's Kubernetes backend for the same arguments, by case."""
    done = subprocess.run(
        [sdk_python(), str(Path(trainjob_specs.__file__)), "kubeflow.trainer"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    specs: dict[str, Any] = json.loads(done.stdout.rpartition("SPECS ")[2])
    return specs


@pytest.mark.parametrize("case", list(trainjob_specs.cases("reconciler.client")))
def test_spec_equals_that_of_the_sdks_kubernetes_backend(sdk_specs: dict[str, Any], case: str) -> None:
    runtime, trainer, initializer, options = trainjob_specs.cases("reconciler.client")[case]
    steps = [{"name": name} for name in ("dataset-initializer", "model-initializer", "node")]
    raw = {"spec": {"template": {"spec": {"replicatedJobs": steps}}}}

    submission = build_submission(
        runtime=runtime,
        document=SimpleNamespace(raw=raw),  # type: ignore[arg-type]
        initializer=initializer,
        trainer=trainer,
        options=options,
        namespace="default",
        config=CONFIG,
    )

    spec = submission.documents[0]["spec"]
    assert _comparable(spec) == _comparable(sdk_specs[case])
    if "command" in spec.get("trainer", {}) and spec["trainer"]["command"][-1].startswith("\nread"):
        # The one intended difference: the here-document is quoted.
        assert "<< 'EOM'\n" in spec["trainer"]["command"][-1]


def _comparable(spec: Any) -> Any:
    """Quantities as numbers, and the script without its intended difference."""
    if isinstance(spec, dict):
        return {key: _comparable(value) for key, value in spec.items() if value not in (None, [])}
    if isinstance(spec, list):
        return [_comparable(value) for value in spec]
    if isinstance(spec, str) and "read -r -d ''" in spec:
        return spec.replace("<< 'EOM'", "<< EOM")
    if isinstance(spec, str) and re.fullmatch(r"\d+(\.\d+)?", spec):
        return float(spec)
    return spec


def test_manifest_passes_admission_and_can_be_planned() -> None:
    submission = make_submission(
        trainer=CustomTrainer(func=train, num_nodes=2, resources_per_node={"cpu": 0.5, "memory": "1Gi"})
    )

    job = load(checked(submission).encode(), "job.yaml").documents[0]

    plan = build(job.model, BUILTIN["torch-distributed"].model)  # type: ignore[arg-type]
    assert [i.name for i in plan.pods] == [f"{submission.name}-node-0", f"{submission.name}-node-1"]
    assert re.fullmatch(r"[a-z][0-9a-f]{11}", submission.name)


def test_script_is_unchanged_in_the_manifest() -> None:
    submission = make_submission(trainer=CustomTrainer(func=train))

    read = yaml.safe_load(checked(submission))

    assert read["spec"]["trainer"]["command"] == submission.documents[0]["spec"]["trainer"]["command"]


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_arguments_that_a_cluster_rejects_are_refused_with_the_reason(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        checked(make_submission(**arguments))


def test_gpu_and_mig_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="cannot be requested together"):
        build_resources({"gpu": 1, "mig-1g.5gb": 1})


def test_container_trainer_needs_no_command() -> None:
    submission = make_submission(trainer=CustomTrainerContainer(image="mine:1", env={"EPOCHS": 3}))  # type: ignore[dict-item]

    assert submission.documents[0]["spec"]["trainer"] == {
        "image": "mine:1",
        "env": [{"name": "EPOCHS", "value": "3"}],
    }


def test_runtime_without_initializer_steps_is_replaced_by_one_with_them() -> None:
    initializer = Initializer(
        dataset=HuggingFaceDatasetInitializer("hf://org/data"),
        model=HuggingFaceModelInitializer("hf://org/model", access_token="secret"),
    )

    submission = make_submission(trainer=CustomTrainer(func=train), initializer=initializer)

    job, runtime = load(checked(submission).encode(), "job.yaml").documents
    plan = build(job.model, runtime.model)  # type: ignore[arg-type]
    assert {step.name: {after.name for after in step.after} for step in plan.steps} == {
        "dataset-initializer": set(),
        "model-initializer": set(),
        "node": {"dataset-initializer", "model-initializer"},
    }
    assert job.raw["spec"]["runtimeRef"] == {"name": f"{submission.name}-runtime", "kind": "TrainingRuntime"}
    assert submission.has_secrets
    mounts = [{m.path for m in c.mounts} for i in plan.pods for c in i.containers]
    assert all(constants.WORKSPACE_PATH in paths for paths in mounts)


def test_runtime_with_initializer_steps_is_used_unchanged() -> None:
    submission = make_submission(
        "torchtune-llama3.2-1b",
        trainer=BuiltinTrainer(TorchTuneConfig(epochs=1)),
        initializer=Initializer(dataset=HuggingFaceDatasetInitializer("hf://org/data")),
    )

    assert len(submission.documents) == 1
    assert submission.documents[0]["spec"]["initializer"]["dataset"]["storageUri"] == "hf://org/data"
    assert checked(submission)


@pytest.mark.parametrize("runtime", ["torch-distributed", "torchtune-llama3.2-1b"])
def test_local_dataset_is_mounted_without_a_step(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "train.csv").write_text("1,2\n")
    torchtune = runtime.startswith("torchtune")
    trainer = BuiltinTrainer(TorchTuneConfig()) if torchtune else CustomTrainer(func=train)

    submission = make_submission(
        runtime,
        trainer=trainer,
        initializer=Initializer(dataset=HuggingFaceDatasetInitializer(f"file://{tmp_path}")),
    )

    job, own = load(checked(submission).encode(), "job.yaml").documents
    plan = build(job.model, own.model)  # type: ignore[arg-type]
    assert "dataset-initializer" not in {step.name for step in plan.steps}
    node = next(i for i in plan.pods if i.step == "node")
    mount = next(m for m in node.containers[0].mounts if m.path == constants.DATASET_PATH)
    assert mount.read_only
    assert next(v for v in node.volumes if v.name == mount.volume).raw["hostPath"]["path"] == str(tmp_path)


@pytest.mark.parametrize("uri", ["file:///no/such/folder", "file://host/x"])
def test_missing_local_dataset_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(uri)):
        make_submission(initializer=Initializer(dataset=HuggingFaceDatasetInitializer(uri)))


def test_importing_the_client_imports_neither_pydantic_nor_yaml() -> None:
    program = (
        "import sys, reconciler.client; print(sorted(m for m in ('pydantic', 'yaml') if m in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def _runtime_named(container: str) -> Any:
    """A runtime whose step trains in a container of that name, without the trainer's label."""
    pod = {"containers": [{"name": container, "image": "any"}]}
    steps = [{"name": "node", "template": {"spec": {"template": {"spec": pod}}}}]
    raw = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": "own", "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": steps}}},
    }
    return load(yaml.safe_dump(raw).encode(), "own.yaml").documents[0]


def test_a_function_that_no_container_would_run_is_refused() -> None:
    document, other = _runtime_named("node"), _runtime_named("main")
    submission = build_submission(
        runtime=parse_runtime(document.raw),
        document=document,
        initializer=None,
        trainer=CustomTrainer(func=train),
        options=None,
        namespace="default",
        config=CONFIG,
    )

    assert render_checked(submission, file="job.yaml", runtimes=[document])
    with pytest.raises(InvalidRequest, match="no container 'node'"):
        render_checked(submission, file="job.yaml", runtimes=[other])
