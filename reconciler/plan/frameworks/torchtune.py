"""torchtune: ``tune run`` is completed with recipe, config and the settings that the runtime manages.

Chosen when the job's command is exactly ``[tune, run]``; the model is in the runtime's name
(``torchtune-<family>-<size>``). Admission rejects jobs for which there is no recipe.
"""

from __future__ import annotations

from reconciler.api.validation.frameworks.torchtune_rules import (
    ENTRYPOINT,
    MANAGED,
    parse_model,
    uses_lora,
    uses_qlora,
)
from reconciler.plan.draft import JobDraft, Raw, set_env, set_port
from reconciler.plan.expansion import PORT_REFERENCE
from reconciler.plan.frameworks.node_count import set_node_count
from reconciler.plan.frameworks.torch import inject_env, processes_per_node, set_topology


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes and three of ``PET_*``; the rendezvous goes into the command."""
    node = set_node_count(draft)
    if node is not None:
        set_env(node, *draft.trainer_env)
        set_topology(draft, node)
        set_port(node)
        draft.trainer["command"] = [*ENTRYPOINT, *_completion(draft, node)]
    inject_env(draft)


def _completion(draft: JobDraft, node: Raw) -> list[str]:
    """Returns the words after ``tune run``."""
    single = draft.nodes == 1 and (processes_per_node(draft) == "1" or draft.gpus == 1)
    recipe, suffix = _recipe(draft, single=single)
    rendezvous = [] if single else [f"--rdzv_endpoint={draft.master}:{PORT_REFERENCE}"]
    managed = [word for word in node.get("command") or () if word.partition("=")[0] in MANAGED]
    return [*rendezvous, recipe, "--config", f"{parse_model(draft.runtime)}{suffix}", *managed]


def _recipe(draft: JobDraft, *, single: bool) -> tuple[str, str]:
    """Returns the recipe, and the suffix of its config's name."""
    devices = "single_device" if single else "distributed"
    ending = "_single_device" if single else ""
    args: list[str] = draft.trainer.get("args") or []
    if draft.nodes > 1:
        return "full_finetune_distributed", "_full_multinode"
    if uses_qlora(args):
        return f"lora_finetune_{devices}", f"_qlora{ending}"
    if uses_lora(args):
        return f"lora_finetune_{devices}", f"_lora{ending}"
    return f"full_finetune_{devices}", f"_full{ending}"
