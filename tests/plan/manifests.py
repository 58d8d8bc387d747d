"""Manifests for tests of the plan: the smallest that say what a test is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob
from reconciler.plan.builder import build
from reconciler.plan.job_plan import ContainerPlan, JobPlan
from reconciler.plan.plan_json import render_job
from reconciler.plan.progress_reporting import remove_reporting

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance"
API = "trainer.kubeflow.org/v1alpha1"
ROLE = "trainer.kubeflow.org/trainjob-ancestor-step"


def load(path: Path) -> Any:
    """The first document of a file."""
    return next(documents(path))


def documents(path: Path) -> Iterator[Any]:
    """All documents of a file that hold something."""
    yield from (d for d in yaml.load_all(path.read_bytes(), yaml.CSafeLoader) if d)


def container(name: str = "node", **fields: Any) -> dict[str, Any]:
    """A container."""
    return {"name": name, "image": "example/train:1", **fields}


def step(
    name: str = "node",
    *containers: Mapping[str, Any],
    role: str | None = None,
    pod: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    pod_metadata: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A replicated job; one called ``node`` is the trainer unless ``role`` says otherwise."""
    role = "trainer" if role is None and name == "node" else role or ""
    template: dict[str, Any] = {"spec": {"containers": list(containers) or [container()], **(pod or {})}}
    if pod_metadata:
        template["metadata"] = pod_metadata
    metadata = {"metadata": {"labels": {ROLE: role}}} if role else {}
    return {"name": name, "template": {**metadata, "spec": {"template": template, **(job or {})}}, **fields}


def runtime(
    *steps: Mapping[str, Any],
    policy: Mapping[str, Any] | None = None,
    name: str = "torch-distributed",
    jobset: Mapping[str, Any] | None = None,
    kind: str = "ClusterTrainingRuntime",
) -> dict[str, Any]:
    """A runtime; a torch one unless ``policy`` says otherwise."""
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}} if policy is None else policy,
            "template": {"spec": {"replicatedJobs": list(steps) or [step()], **(jobset or {})}},
        },
    }


def trainjob(
    trainer: Mapping[str, Any] | None = None,
    *,
    name: str = "demo",
    namespace: str = "",
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A TrainJob."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if annotations:
        metadata["annotations"] = annotations
    body = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer or {}, **spec}
    return {"apiVersion": API, "kind": "TrainJob", "metadata": metadata, "spec": body}


def patch(job: str = "node", *, manager: str = "acme.io/x", **pod_spec: Any) -> dict[str, Any]:
    """A runtime patch of a replicated job's pod spec."""
    template = {"spec": {"template": {"spec": pod_spec}}}
    return {
        "manager": manager,
        "trainingRuntimeSpec": {
            "template": {"spec": {"replicatedJobs": [{"name": job, "template": template}]}}
        },
    }


def plan_of(job: Mapping[str, Any], of: Mapping[str, Any] | None = None, *, uid: str = "u-1") -> JobPlan:
    """The plan of decoded manifests, without what every training reports by (test_reporting has that)."""
    return remove_reporting(full_plan_of(job, of, uid=uid))


def full_plan_of(job: Mapping[str, Any], of: Mapping[str, Any] | None = None, *, uid: str = "u-1") -> JobPlan:
    """The plan of decoded manifests."""
    runtime_manifest = dict(of or runtime())
    model = (
        ClusterTrainingRuntime if runtime_manifest["kind"] == "ClusterTrainingRuntime" else TrainingRuntime
    )
    return build(TrainJob.model_validate(dict(job)), model.model_validate(runtime_manifest), uid=uid)


def only(plan: JobPlan, step_name: str = "node", name: str = "node", index: int = 0) -> ContainerPlan:
    """One container of the plan."""
    (found,) = [c for c in plan.step(step_name).pods[index].containers if c.container == name]
    return found


def env(container_plan: ContainerPlan) -> dict[str, str]:
    """Values of its variables, unexpanded."""
    return {v.name: v.value for v in container_plan.env}


def rendered_job(plan: JobPlan) -> dict[str, Any]:
    """The job as ``plan -o json`` shows it, without Secrets and ConfigMaps."""
    return render_job(plan, lookup=lambda _kind, _name: None)


def rendered(plan: JobPlan, name: str) -> dict[str, Any]:
    """The container of that engine name in it."""
    return next(c for c in rendered_job(plan)["containers"] if c["name"] == name)


def rendered_env(plan: JobPlan, name: str) -> dict[str, str]:
    """Its environment, expanded."""
    variables: dict[str, str] = rendered(plan, name)["env"]
    return variables
