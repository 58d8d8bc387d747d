"""Manifests and sidecars that the tests of commands write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

RUNTIME: dict[str, Any] = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "ClusterTrainingRuntime",
    "metadata": {"name": "ours", "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {
                                "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                            },
                            "spec": {
                                "template": {
                                    "spec": {"containers": [{"name": "node", "image": "example/train:1"}]}
                                }
                            },
                        },
                    }
                ]
            }
        },
    },
}


def trainjob(
    name: str = "demo", *, namespace: str = "", runtime: str = "ours", **spec: Any
) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {"runtimeRef": {"name": runtime}, "trainer": {"numNodes": 2}, **spec},
    }


def write(path: Path, *documents: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def sidecar(name: str = "demo", *, namespace: str = "default", **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "u-1",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00.000Z",
        },
        "status": {"attempt": 0, "restarts": 0, "conditions": [], "errors": [], "events": [], **status},
    }


def node(rank: int, state: str = "running", *, job: str = "demo", **more: Any) -> dict[str, Any]:
    return {
        "rank": rank,
        "step": "node",
        "name": f"{job}-node-{rank}",
        "containerID": f"{rank}" * 64,
        "ip": f"10.1.0.{rank + 2}",
        "state": state,
        "exitCode": None,
        "startedAt": "2026-01-01T00:00:10.000Z",
        "finishedAt": None,
        "devices": [],
        "restarts": 0,
        "log": "",
        **more,
    }
