"""The list of all framework plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.api.framework_names import FrameworkName
from reconciler.plan.frameworks.flux import Flux
from reconciler.plan.frameworks.framework import Framework
from reconciler.plan.frameworks.jax import Jax
from reconciler.plan.frameworks.mpi import Mpi
from reconciler.plan.frameworks.plain import Plain
from reconciler.plan.frameworks.torch import Torch
from reconciler.plan.frameworks.torchtune import ENTRYPOINT, Torchtune
from reconciler.plan.frameworks.xgboost import XGBoost

#: By the field of ``mlPolicy`` that chooses it.
PLUGINS: Final[Mapping[FrameworkName, Framework]] = {
    "torch": Torch(),
    "jax": Jax(),
    "xgboost": XGBoost(),
    "mpi": Mpi(),
    "flux": Flux(),
}
#: Chosen without a field: torchtune by the job's command, plain where no field is set.
_TORCHTUNE: Final = Torchtune()
_PLAIN: Final = Plain()


def select_framework(policy: Mapping[str, Any], command: object) -> Framework:
    """Returns the plugin for a runtime's ``mlPolicy`` and the job's command."""
    for field, framework in PLUGINS.items():
        if policy.get(field) is not None:
            return _TORCHTUNE if field == "torch" and command == ENTRYPOINT else framework
    return _PLAIN
