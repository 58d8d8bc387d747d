"""PyTorch: the ``PET_*`` variables that torchrun reads as its arguments."""

from __future__ import annotations

from reconciler import names
from reconciler.plan.draft import JobDraft, Raw, set_env, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import rank_trainer
from reconciler.plan.pod.pod_resources import processors


class Torch:
    """Upstream's Torch plugin for everything but torchtune."""

    name = "torch"

    def apply(self, draft: JobDraft) -> None:
        """Set the number of nodes, ``PET_*`` on the trainer and on containers that ask for them."""
        node = rank_trainer(draft)
        if node is not None:
            set_env(node, *draft.trainer_env)
            set_topology(draft, node)
            set_rendezvous(draft, node)
            set_port(node, names.MASTER_PORT)
        inject(draft)


def processes_per_node(draft: JobDraft) -> str:
    """``--nproc-per-node``: what the job says; ``auto`` where there are GPUs; else a node's CPUs."""
    explicit = draft.trainer.get("numProcPerNode")
    if explicit is not None:
        return str(explicit)
    return "auto" if draft.gpus else str(processors(draft.resources))


def set_topology(draft: JobDraft, container: Raw) -> None:
    """How many nodes and processes there are, and which node this is."""
    set_value(container, "PET_NNODES", draft.nodes)
    set_value(container, "PET_NPROC_PER_NODE", processes_per_node(draft))
    set_index(container, "PET_NODE_RANK")


def set_rendezvous(draft: JobDraft, container: Raw) -> None:
    """Where the nodes meet."""
    set_value(container, "PET_MASTER_ADDR", draft.master)
    set_value(container, "PET_MASTER_PORT", PORT_REFERENCE)


def inject(draft: JobDraft) -> None:
    """Give all ``PET_*`` to the init containers and sidecars that ``torch.envInjection`` names.

    They get all five, under torchtune too (upstream KEP-3416).
    """
    policy = (draft.policy.get("torch") or {}).get("envInjection") or {}
    for target in policy.get("targets") or ():
        step = draft.step(target["jobName"])
        for container in step.every_container() if step else ():
            if container["name"] in target["containerNames"]:
                set_topology(draft, container)
                set_rendezvous(draft, container)
