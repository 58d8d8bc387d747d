"""No framework: the job's nodes and environment, and nothing else."""

from __future__ import annotations

from reconciler.plan.draft import JobDraft, set_env
from reconciler.plan.frameworks.node_count import rank_trainer


class Plain:
    """Upstream's PlainML."""

    name = "plain"

    def apply(self, draft: JobDraft) -> None:
        """Set the number of nodes, and the job's environment ahead of everything."""
        node = rank_trainer(draft)
        if node is not None:
            set_env(node, *draft.trainer_env)
