"""Names of the frameworks, as the fields of ``mlPolicy`` have them: the one list of them.

What a framework adds to a plan is in :mod:`reconciler.plan.frameworks`, what its admission refuses in
:mod:`reconciler.api.validation.frameworks`, its field in :mod:`reconciler.api.models.ml_policy`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

FrameworkName: TypeAlias = Literal["torch", "mpi", "jax", "xgboost", "flux"]
FRAMEWORKS: Final[tuple[FrameworkName, ...]] = get_args(FrameworkName)
#: Frameworks whose plan adds volumes (ssh keys, configuration) that neither runtime nor patches define.
ADDING_VOLUMES: Final[frozenset[FrameworkName]] = frozenset({"mpi", "flux"})
