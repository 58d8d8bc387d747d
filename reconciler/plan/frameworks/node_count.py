"""The number of training nodes, for every framework but MPI (upstream: plugins' ``EnforceMLPolicy``)."""

from __future__ import annotations

from reconciler.api.step_names import NODE
from reconciler.plan.draft import JobDraft, Raw


def set_node_count(draft: JobDraft) -> Raw | None:
    """Makes the pods of the trainer step the training nodes, as many as the job or else the runtime says.

    Without a labelled step a step named ``node`` takes its place, with its own parallelism: the job's
    trainer section reaches only a labelled one, as upstream.

    Returns:
        The trainer's container, where a labelled step has one.
    """
    step = draft.trainer_step
    if step is None:
        step = draft.step(NODE)
        if step is not None:
            step.ranked = True
        return None
    step.ranked = True
    nodes = draft.trainer.get("numNodes")
    if nodes is not None:
        step.pods = max(int(nodes), 0)
        if not step.pods:
            draft.warnings.append(("spec.trainer.numNodes", "there are no nodes: the job completes at once"))
    return step.container(NODE)
