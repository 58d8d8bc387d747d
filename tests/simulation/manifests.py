"""Manifests for the simulation: short forms of runtimes and jobs, real documents in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from reconciler.api import Document, load

API = "trainer.kubeflow.org/v1alpha1"
ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"
IMAGE = "example.test/train:1"


def step(
    name: str,
    *,
    backoff: int = 0,
    restart_policy: str = "OnFailure",
    after: Sequence[tuple[str, str]] = (),
    count: int = 1,
    job: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    image: str = IMAGE,
) -> dict[str, Any]:
    """A replicated job; ``node`` is the trainer."""
    labels = {ANCESTOR: "trainer"} if name == "node" else {}
    pods = {} if name == "node" else {"parallelism": count, "completions": count}
    return {
        "name": name,
        **({"dependsOn": [{"name": n, "status": s} for n, s in after]} if after else {}),
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "backoffLimit": backoff,
                **pods,
                **(job or {}),
                "template": {
                    "spec": {
                        "restartPolicy": restart_policy,
                        "containers": [{"name": name, "image": image, **(container or {})}],
                        **(pod or {}),
                    }
                },
            },
        },
    }


def runtime(name: str, *steps: dict[str, Any], nodes: int = 2, **jobset: Any) -> dict[str, Any]:
    """A ClusterTrainingRuntime; ``jobset``: fields of its JobSet (failurePolicy, successPolicy, ...)."""
    return {
        "apiVersion": API,
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name},
        "spec": {
            "mlPolicy": {"numNodes": nodes},
            "template": {"spec": {"replicatedJobs": list(steps), **jobset}},
        },
    }


def job(
    name: str, runtime_name: str, *, annotations: Mapping[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A TrainJob."""
    metadata: dict[str, Any] = {"name": name}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": API,
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": {"name": runtime_name}, **spec},
    }


def document(raw: Mapping[str, Any], file: str) -> Document:
    """As the folder's reader makes it; checked, so that no test plays a manifest nobody may write."""
    return _load(json.dumps(raw, sort_keys=True), file)


@lru_cache(maxsize=4096)
def _load(text: str, file: str) -> Document:
    (found,) = load(text.encode(), file).documents
    assert found.valid, found.faults
    return found
