"""The number of training nodes, for every framework but MPI (upstream: plugins' ``EnforceMLPolicy``)."""

from __future__ import annotations

from reconciler.api.step_names import NODE
from reconciler.plan.draft import JobDraft, Raw


def set_node_count(draft: JobDraft) -> Raw | None:
    """Makes the pods of the trainer step the training nodes, as many as the job or else the runtime says.

    Returns:
        The trainer's container, where the step has one.
    """
    step = draft.trainer_step
    if step is None:
        return None
    step.ranked = True
    nodes = draft.trainer.get("numNodes")
    if nodes is None and step.replicas > 1:
        nodes = draft.ml_policy.get("numNodes")
    if nodes is not None:
        step.pods, step.replicas = max(int(nodes), 0), 1
        if not step.pods:
            draft.warnings.append(("spec.trainer.numNodes", "there are no nodes: the job completes at once"))
    return step.container(NODE)
