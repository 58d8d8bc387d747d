"""The list of all framework plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reconciler.api.framework_names import FrameworkName
from reconciler.api.validation.frameworks.torchtune_rules import is_torchtune
from reconciler.plan.draft import JobDraft
from reconciler.plan.frameworks import flux, jax, mpi, plain, torch, torchtune, xgboost

#: Sets in a draft what a framework's processes need. It sees the draft with the runtime patches in it and
#: before the job's image, command, arguments, resources and environment are applied (upstream's order).
Plugin = Callable[[JobDraft], None]

#: By the field of ``mlPolicy`` that chooses it.
PLUGINS: Final[Mapping[FrameworkName, Plugin]] = {
    "torch": torch.apply,
    "jax": jax.apply,
    "xgboost": xgboost.apply,
    "mpi": mpi.apply,
    "flux": flux.apply,
}


def select_framework(policy: Mapping[str, Any], command: Sequence[str] | None) -> tuple[str, Plugin]:
    """Returns name and plugin of the framework that a runtime's ``mlPolicy`` and the job's command choose.

    Two are chosen without a field: torchtune by the job's command, plain where no field is set.
    """
    if policy.get("torch") is not None and is_torchtune(command):
        return "torchtune", torchtune.apply
    for name, plugin in PLUGINS.items():
        if policy.get(name) is not None:
            return name, plugin
    return "plain", plain.apply
