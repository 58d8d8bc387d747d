"""Manifests for the tests of reconciler.api: the smallest that is valid, and what a test changes of it."""

from __future__ import annotations

from typing import Any

from reconciler.api import Document, Fault, LoadedFile, check, dump, load

API = "trainer.kubeflow.org/v1alpha1"
ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"


def container(name: str = "node", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "example/train:1", **fields}


def step(
    name: str = "node",
    *,
    ancestor: str = "",
    containers: list[dict[str, Any]] | None = None,
    pod: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A replicated job; ``pod`` and ``job`` are further fields of its pod and Job spec."""
    template: dict[str, Any] = {
        "spec": {
            **(job or {}),
            "template": {"spec": {"containers": containers or [container()], **(pod or {})}},
        }
    }
    if ancestor:
        template["metadata"] = {"labels": {ANCESTOR: ancestor}}
    return {"name": name, "template": template, **fields}


def runtime(
    name: str = "torch",
    *,
    kind: str = "ClusterTrainingRuntime",
    steps: list[dict[str, Any]] | None = None,
    policy: dict[str, Any] | None = None,
    jobset: dict[str, Any] | None = None,
    namespace: str = "",
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": metadata,
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}} if policy is None else policy,
            "template": {
                "spec": {"replicatedJobs": steps or [step(ancestor="trainer")], **(jobset or {})},
            },
        },
    }


def trainjob(name: str = "demo", *, ref: Any = "torch", namespace: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    reference = {"name": ref} if isinstance(ref, str) else ref
    return {
        "apiVersion": API,
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": reference, **spec},
    }


def patch(pod: dict[str, Any], *, job: str = "node", manager: str = "acme.io/x") -> dict[str, Any]:
    """A runtime patch of one job's pods."""
    replicated = {"name": job, "template": {"spec": {"template": {"spec": pod}}}}
    return {
        "manager": manager,
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [replicated]}}},
    }


def loaded(*objects: Any, file: str = "f.yaml") -> LoadedFile:
    return load(dump(*objects).encode(), file)


def document(obj: Any) -> Document:
    """The one document of an object."""
    (found,) = loaded(obj).documents
    return found


def faults(*objects: Any) -> list[Fault]:
    """Every fault of objects that are loaded and checked together."""
    result = loaded(*objects)
    own = [fault for found in result.documents for fault in found.faults]
    return [*result.faults, *own, *check(result.documents)]


def errors(*objects: Any) -> dict[str, str]:
    """Path -> message of the errors."""
    return {fault.path: fault.message for fault in faults(*objects) if fault.severity == "error"}


def warnings(*objects: Any) -> dict[str, str]:
    """Path -> message of the warnings."""
    return {fault.path: fault.message for fault in faults(*objects) if fault.severity == "warning"}
