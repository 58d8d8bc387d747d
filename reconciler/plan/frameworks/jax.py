"""JAX: what ``jax.distributed.initialize()`` needs, one process per node whatever the GPUs.

Unlike those of other frameworks its variables are not reserved (upstream's Jax plugin): the job's own win.
"""

from __future__ import annotations

from reconciler.plan.draft import JobDraft, set_env, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import set_node_count


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes and ``JAX_*``."""
    node = set_node_count(draft)
    if node is None:
        return
    set_value(node, "JAX_NUM_PROCESSES", draft.nodes)
    set_index(node, "JAX_PROCESS_ID")
    set_value(node, "JAX_COORDINATOR_ADDRESS", f"{draft.master}:{PORT_REFERENCE}")
    set_env(node, *draft.trainer_env)
    set_port(node)
