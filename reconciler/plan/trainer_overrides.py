"""The job's own sections over the runtime: ``spec.trainer`` and ``spec.initializer``.

Upstream's JobSet builder does this after the framework plugins, so the job's environment wins; admission
rejects variables that a plugin must set. Image, command and arguments replace the runtime's as a whole;
resources and environment merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.api.step_names import DATASET_INITIALIZER, MODEL_INITIALIZER, NODE, TRAINER
from reconciler.plan.draft import JobDraft, Raw, set_env, set_value
from reconciler.plan.frameworks.mpi import trainer_reaches_workers
from reconciler.plan.pod.pod_resources import merge_resources


def apply_trainer(draft: JobDraft) -> None:
    """Applies ``spec.trainer`` to the container ``node`` of the trainer's steps."""
    for step in draft.steps:
        node = step.container(NODE)
        if node is None:
            continue
        if step.role == TRAINER:
            for field in ("image", "command", "args"):
                if draft.trainer.get(field):
                    node[field] = draft.trainer[field]
        if step.role == TRAINER or trainer_reaches_workers(draft, step):
            resources = draft.trainer.get("resourcesPerNode")
            if resources:
                node["resources"] = merge_resources(node.get("resources") or {}, resources)
            set_env(node, *draft.trainer_env)


def apply_initializers(draft: JobDraft) -> None:
    """Applies ``spec.initializer`` to the initializers' containers: storage, environment, credentials."""
    sections = {DATASET_INITIALIZER: "dataset", MODEL_INITIALIZER: "model"}
    for step in draft.steps:
        section = draft.initializer.get(sections.get(step.role, ""))
        container = step.container(step.role) if section else None
        if section and container is not None:
            _apply_initializer(container, section)


def _apply_initializer(container: Raw, section: Mapping[str, Any]) -> None:
    if section.get("storageUri") is not None:
        set_value(container, "STORAGE_URI", section["storageUri"])
    set_env(container, *(section.get("env") or ()))
    secret = (section.get("secretRef") or {}).get("name")
    if secret:
        container["envFrom"] = [*(container.get("envFrom") or ()), {"secretRef": {"name": secret}}]
