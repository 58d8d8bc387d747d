"""Environment that this project and the Job controller give to containers, whatever the framework.

``MASTER_ADDR``, ``MASTER_PORT``, ``RANK`` and ``WORLD_SIZE`` are this project's promise (DESIGN);
``JOB_COMPLETION_INDEX`` is set by the controller of an Indexed Job.
"""

from __future__ import annotations

from typing import Final

from reconciler.api.step_names import LAUNCHER, TRAINER
from reconciler.plan.draft import JobDraft, Raw, StepDraft, set_index, set_value
from reconciler.plan.expansion import PORT_REFERENCE

INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"


def add_rendezvous(draft: JobDraft) -> None:
    """Adds the rendezvous variables to every container of the training; a launcher has no ``RANK``.

    They come first, so that all other variables may refer to them, and only where neither runtime nor job
    sets a variable of the name.
    """
    for step in draft.steps:
        launches = draft.ml_policy.get("mpi") is not None and step.name == LAUNCHER
        if not (step.ranked or launches or step.role == TRAINER):
            continue
        for container in step.all_containers():
            present = {variable["name"] for variable in container.get("env") or ()}
            container["env"] = [
                *(variable for variable in _rendezvous(draft, step) if variable["name"] not in present),
                *(container.get("env") or ()),
            ]


def _rendezvous(draft: JobDraft, step: StepDraft) -> list[Raw]:
    variables: Raw = {}
    set_value(variables, "MASTER_ADDR", draft.master)
    set_value(variables, "MASTER_PORT", PORT_REFERENCE)
    if step.ranked:
        set_index(variables, "RANK")
    set_value(variables, "WORLD_SIZE", draft.nodes)
    env: list[Raw] = variables["env"]
    return env


def add_completion_index(draft: JobDraft) -> None:
    """Adds ``JOB_COMPLETION_INDEX`` to every container that does not set it."""
    for step in draft.steps:
        for container in step.all_containers():
            if all(variable["name"] != INDEX_VARIABLE for variable in container.get("env") or ()):
                set_index(container, INDEX_VARIABLE)
