"""The rules of each framework; jax and plain ML have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.framework_names import FrameworkName
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.frameworks import flux_rules, mpi_rules, reserved_env, torch_rules

_RULES: Final[Mapping[FrameworkName, Callable[[TrainJob, Runtime], Findings]]] = {
    "flux": flux_rules.check,
    "mpi": mpi_rules.check,
    "torch": torch_rules.check,
    "xgboost": lambda job, _runtime: reserved_env.check(job.spec.trainer, "xgboost"),
}


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job under the rules of its runtime's framework."""
    for framework in runtime.spec.frameworks:
        if framework in _RULES:
            yield from _RULES[framework](job, runtime)
