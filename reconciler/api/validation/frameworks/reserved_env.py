"""Environment variables that a framework sets itself, so that a job may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.framework_names import FrameworkName
from reconciler.api.models.trainjob import Trainer

#: Names of frameworks in messages.
_TITLES: Final[Mapping[FrameworkName, str]] = {"mpi": "MPI", "torch": "torchrun", "xgboost": "XGBoost"}
_RESERVED: Final[Mapping[FrameworkName, tuple[str, ...]]] = {
    "mpi": (
        "OMPI_MCA_orte_default_hostfile",
        "OMPI_MCA_orte_keep_fqdn_hostnames",
        "OMPI_MCA_orte_set_default_slots",
        "OMPI_MCA_plm_rsh_args",
    ),
    "torch": ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"),
    "xgboost": ("DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"),
}


def check(trainer: Trainer | None, framework: FrameworkName) -> Findings:
    """Yields a fault for each variable of the trainer that ``framework`` reserves."""
    for index, variable in enumerate(trainer.env if trainer else ()):
        if variable.name in _RESERVED[framework]:
            yield (
                f"spec.trainer.env[{index}]",
                f"Forbidden: {variable.name} is reserved for the {_TITLES[framework]} runtime; remove it",
            )
