"""Manifests that end-to-end tests share, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from reconciler.names import KEY_PREFIX

API = "trainer.kubeflow.org/v1alpha1"
#: Reads statuses; libyaml's where there is one, as they are read again and again.
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Shell: runs until it is asked to end, and then ends at once instead of after the grace period.
UNTIL_TERM = "trap 'exit 0' TERM; sleep 600 & wait"


def runtime(
    name: str,
    image: str,
    *,
    nodes: int = 1,
    container: Mapping[str, Any] | None = None,
    policy: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    pod: Mapping[str, Any] | None = None,
    jobset: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A ClusterTrainingRuntime of one replicated job ``node``; each part can be added to.

    A failed container is not restarted unless ``job`` or ``pod`` say so: tests of failures end at once.
    """
    return {
        "apiVersion": API,
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name},
        "spec": {
            "mlPolicy": {"numNodes": nodes, **(policy or {})},
            "template": {
                "spec": {
                    **(jobset or {}),
                    "replicatedJobs": [
                        {
                            "name": "node",
                            "template": {
                                "metadata": {
                                    "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                                },
                                "spec": {
                                    "backoffLimit": 0,
                                    **(job or {}),
                                    "template": {
                                        "spec": {
                                            "restartPolicy": "Never",
                                            **(pod or {}),
                                            "containers": [
                                                {"name": "node", "image": image, **(container or {})}
                                            ],
                                        }
                                    },
                                },
                            },
                        }
                    ],
                }
            },
        },
    }


def trainjob(name: str, runtime_name: str, *command: str, **trainer: Any) -> dict[str, Any]:
    """A TrainJob; ``trainer`` are further fields of ``spec.trainer``."""
    return {
        "apiVersion": API,
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {
            "runtimeRef": {"name": runtime_name},
            "trainer": {**({"command": list(command)} if command else {}), **trainer},
        },
    }


def shell(name: str, runtime_name: str, script: str, **trainer: Any) -> dict[str, Any]:
    """A TrainJob whose nodes run a shell script."""
    return trainjob(name, runtime_name, "sh", "-c", script, **trainer)


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a status by its type; empty when it has none of that type."""
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def annotated(document: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """The document with annotations of this project's prefix, dashes written as underscores."""
    own = {KEY_PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}
    return {**document, "metadata": {**document["metadata"], "annotations": own}}
