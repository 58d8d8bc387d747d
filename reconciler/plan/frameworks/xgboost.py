"""XGBoost: where the Rabit tracker is, and how many workers there are."""

from __future__ import annotations

from reconciler import names
from reconciler.plan.draft import JobDraft, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import rank_trainer


class XGBoost:
    """Upstream's XGBoost plugin."""

    name = "xgboost"

    def apply(self, draft: JobDraft) -> None:
        """Set the number of nodes and ``DMLC_*``: one worker a GPU, one a node without GPUs."""
        node = rank_trainer(draft)
        if node is None:
            return
        set_value(node, "DMLC_TRACKER_URI", draft.master)
        set_value(node, "DMLC_TRACKER_PORT", PORT_REFERENCE)
        set_index(node, "DMLC_TASK_ID")
        set_value(node, "DMLC_NUM_WORKER", draft.nodes * max(draft.gpus, 1))
        set_port(node, names.MASTER_PORT)
