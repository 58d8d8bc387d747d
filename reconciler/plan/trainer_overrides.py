"""The job's own sections laid over the runtime: ``spec.trainer`` and ``spec.initializer``.

Upstream's JobSet builder does this after the framework plugins, so the job's environment comes last;
what a plugin must keep is refused at admission. Image, command and arguments replace the runtime's as
a whole; resources and environment merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.plan.draft import (
    DATASET_INITIALIZER,
    LAUNCHER,
    MODEL_INITIALIZER,
    NODE,
    TRAINER,
    JobDraft,
    Raw,
    StepDraft,
    set_env,
    set_index,
    set_value,
)
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.mpi import reaches_workers
from reconciler.plan.pod.pod_resources import merged_resources


def lay_trainer(draft: JobDraft) -> None:
    """Lay ``spec.trainer`` over the container ``node`` of the trainer's steps."""
    for step in draft.steps:
        node = step.container(NODE)
        if node is None:
            continue
        if step.role == TRAINER:
            for field in ("image", "command", "args"):
                if draft.trainer.get(field):
                    node[field] = draft.trainer[field]
        if step.role == TRAINER or reaches_workers(draft, step):
            resources = draft.trainer.get("resourcesPerNode")
            if resources:
                node["resources"] = merged_resources(node.get("resources") or {}, resources)
            set_env(node, *draft.trainer_env)


def lay_initializers(draft: JobDraft) -> None:
    """Lay ``spec.initializer`` over the initializers' containers: storage, environment, credentials."""
    sections = {DATASET_INITIALIZER: "dataset", MODEL_INITIALIZER: "model"}
    for step in draft.steps:
        section = draft.initializer.get(sections.get(step.role, ""))
        container = step.container(step.role) if section else None
        if section and container is not None:
            _lay_initializer(container, section)


def _lay_initializer(container: Raw, section: Mapping[str, Any]) -> None:
    if section.get("storageUri") is not None:
        set_value(container, "STORAGE_URI", section["storageUri"])
    set_env(container, *(section.get("env") or ()))
    secret = (section.get("secretRef") or {}).get("name")
    if secret:
        container["envFrom"] = [*(container.get("envFrom") or ()), {"secretRef": {"name": secret}}]


def add_rendezvous(draft: JobDraft) -> None:
    """Give every container of the training ``MASTER_ADDR``, ``MASTER_PORT``, ``WORLD_SIZE`` and ``RANK``.

    They stand first, so that everything else may refer to them, and only where neither runtime nor
    job has a variable of the name. A launcher has no rank.
    """
    for step in draft.steps:
        launches = draft.policy.get("mpi") is not None and step.name == LAUNCHER
        if not (step.ranked or launches or step.role == TRAINER):
            continue
        for container in step.every_container():
            present = {variable["name"] for variable in container.get("env") or ()}
            container["env"] = [
                variable for variable in _rendezvous(draft, step) if variable["name"] not in present
            ] + list(container.get("env") or ())


def _rendezvous(draft: JobDraft, step: StepDraft) -> list[Raw]:
    shared: Raw = {}
    set_value(shared, "MASTER_ADDR", draft.master)
    set_value(shared, "MASTER_PORT", PORT_REFERENCE)
    if step.ranked:
        set_index(shared, "RANK")
    set_value(shared, "WORLD_SIZE", draft.nodes)
    variables: list[Raw] = shared["env"]
    return variables
