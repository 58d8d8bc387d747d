"""No framework: the job's nodes and environment, and nothing else (upstream's PlainML plugin)."""

from __future__ import annotations

from reconciler.plan.draft import JobDraft, set_env
from reconciler.plan.frameworks.node_count import set_node_count


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes, and the job's environment before all other variables."""
    node = set_node_count(draft)
    if node is not None:
        set_env(node, *draft.trainer_env)
