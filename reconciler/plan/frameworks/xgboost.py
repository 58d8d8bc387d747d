"""XGBoost: the address of the Rabit tracker and the number of workers (upstream's XGBoost plugin)."""

from __future__ import annotations

from reconciler.plan.draft import JobDraft, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import set_node_count


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes and ``DMLC_*``: one worker per GPU, one per node without GPUs."""
    node = set_node_count(draft)
    if node is None:
        return
    set_value(node, "DMLC_TRACKER_URI", draft.master)
    set_value(node, "DMLC_TRACKER_PORT", PORT_REFERENCE)
    set_index(node, "DMLC_TASK_ID")
    set_value(node, "DMLC_NUM_WORKER", draft.nodes * max(draft.gpus, 1))
    set_port(node)
