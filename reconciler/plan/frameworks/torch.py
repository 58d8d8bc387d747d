"""PyTorch: the ``PET_*`` variables that torchrun reads in place of arguments (upstream's Torch plugin)."""

from __future__ import annotations

from reconciler.plan.draft import JobDraft, Raw, set_env, set_index, set_port, set_value
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import set_node_count
from reconciler.plan.pod.pod_resources import count_cpus


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes, and ``PET_*`` on the trainer and on containers that ask for them."""
    node = set_node_count(draft)
    if node is not None:
        set_env(node, *draft.trainer_env)
        set_topology(draft, node)
        set_rendezvous(draft, node)
        set_port(node)
    inject_env(draft)


def processes_per_node(draft: JobDraft) -> str:
    """Returns ``--nproc-per-node``: the job's own; ``auto`` for nodes with GPUs; else the number of CPUs.

    A runtime may say it too, as for older Trainers: a number, ``gpu`` (torchrun counts them, and refuses a
    node without), ``cpu``, or ``auto``, the default.
    """
    explicit = draft.trainer.get("numProcPerNode")
    if explicit is None:
        explicit = (draft.ml_policy.get("torch") or {}).get("numProcPerNode")
    if explicit is None or explicit == "auto":
        explicit = "auto" if draft.gpus else "cpu"
    return str(count_cpus(draft.resources)) if explicit == "cpu" else str(explicit)


def set_topology(draft: JobDraft, container: Raw) -> None:
    """Sets the numbers of nodes and processes, and the node's rank."""
    set_value(container, "PET_NNODES", draft.nodes)
    set_value(container, "PET_NPROC_PER_NODE", processes_per_node(draft))
    set_index(container, "PET_NODE_RANK")


def set_rendezvous(draft: JobDraft, container: Raw) -> None:
    """Sets address and port of rank 0, where the nodes meet."""
    set_value(container, "PET_MASTER_ADDR", draft.master)
    set_value(container, "PET_MASTER_PORT", PORT_REFERENCE)


def inject_env(draft: JobDraft) -> None:
    """Sets ``PET_*`` on the init containers and sidecars that ``torch.envInjection`` names.

    They get all five variables, under torchtune too (upstream KEP-3416).
    """
    injection = (draft.ml_policy.get("torch") or {}).get("envInjection") or {}
    for target in injection.get("targets") or ():
        step = draft.step(target["jobName"])
        for container in step.all_containers() if step else ():
            if container["name"] in target["containerNames"]:
                set_topology(draft, container)
                set_rendezvous(draft, container)
