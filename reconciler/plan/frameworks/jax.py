"""JAX: what ``jax.distributed.initialize()`` needs, one process per node whatever the GPUs."""

from __future__ import annotations

from reconciler import names
from reconciler.plan.draft import JobDraft, set_env, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.framework import Framework
from reconciler.plan.frameworks.node_count import set_node_count


class Jax(Framework):
    """Upstream's Jax plugin. Its variables are not reserved: the job's own win."""

    name = "jax"

    def apply(self, draft: JobDraft) -> None:
        """Sets the number of nodes and ``JAX_*``."""
        node = set_node_count(draft)
        if node is None:
            return
        set_value(node, "JAX_NUM_PROCESSES", draft.nodes)
        set_index(node, "JAX_PROCESS_ID")
        set_value(node, "JAX_COORDINATOR_ADDRESS", f"{draft.master}:{PORT_REFERENCE}")
        set_env(node, *draft.trainer_env)
        set_port(node, names.MASTER_PORT)
