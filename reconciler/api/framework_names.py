"""Names of the frameworks, as the fields of ``mlPolicy`` have them: the one list of them.

What a framework adds to a plan is in :mod:`reconciler.plan.frameworks`, what its admission refuses in
:mod:`reconciler.api.validation.frameworks`, its field in :mod:`reconciler.api.models.ml_policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from reconciler.common.mappings import mapping_at
from reconciler.names import LABEL_FRAMEWORK

FrameworkName: TypeAlias = Literal["torch", "mpi", "jax", "xgboost", "flux"]
FRAMEWORKS: Final[tuple[FrameworkName, ...]] = get_args(FrameworkName)
#: Frameworks whose plan adds volumes (ssh keys, configuration) that neither runtime nor patches define.
ADDING_VOLUMES: Final[frozenset[FrameworkName]] = frozenset({"mpi", "flux"})


def find_framework(runtime: Mapping[str, Any]) -> str:
    """Returns the framework of a runtime's document: its label, else its ``mlPolicy``'s, else ``plain``."""
    label = mapping_at(runtime, "metadata", "labels").get(LABEL_FRAMEWORK)
    policy = mapping_at(runtime, "spec", "mlPolicy")
    return str(label or next((name for name in FRAMEWORKS if name in policy), "plain"))
