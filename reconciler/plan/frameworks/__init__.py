"""Frameworks: one small plugin each, chosen by the runtime's ``mlPolicy``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.plan.frameworks import torchtune
from reconciler.plan.frameworks.flux import Flux
from reconciler.plan.frameworks.framework import Framework
from reconciler.plan.frameworks.jax import Jax
from reconciler.plan.frameworks.mpi import Mpi
from reconciler.plan.frameworks.plain import Plain
from reconciler.plan.frameworks.torch import Torch
from reconciler.plan.frameworks.torchtune import Torchtune
from reconciler.plan.frameworks.xgboost import XGBoost

#: By the field of ``mlPolicy`` that asks for it.
FRAMEWORKS: Final[Mapping[str, Framework]] = {
    "torch": Torch(),
    "jax": Jax(),
    "xgboost": XGBoost(),
    "mpi": Mpi(),
    "flux": Flux(),
}


def framework_of(policy: Mapping[str, Any], command: object) -> Framework:
    """The plugin for a runtime's ``mlPolicy`` and the job's command; plain ML where no field is set."""
    for name, framework in FRAMEWORKS.items():
        if policy.get(name) is not None:
            return Torchtune() if name == "torch" and command == torchtune.ENTRYPOINT else framework
    return Plain()
