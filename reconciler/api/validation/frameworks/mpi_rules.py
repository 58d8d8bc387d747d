"""Admission of MPI jobs: reserved names, and the jobs that a launcher needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api import runtime_lookup
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.frameworks.reserved_env import reserved_env

RESERVED: Final = frozenset(
    {
        "OMPI_MCA_orte_default_hostfile",
        "OMPI_MCA_orte_keep_fqdn_hostnames",
        "OMPI_MCA_orte_set_default_slots",
        "OMPI_MCA_plm_rsh_args",
    }
)


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job that uses an MPI runtime."""
    yield from reserved_env(job.spec.trainer, RESERVED, "MPI")
    policy = runtime.spec.ml_policy
    nodes = job.spec.trainer.num_nodes if job.spec.trainer else None
    if not (policy and policy.mpi and policy.mpi.run_launcher_as_node) or nodes is None or nodes < 2:
        return
    missing = [
        name
        for name in (runtime_lookup.LAUNCHER, runtime_lookup.NODE)
        if runtime_lookup.find_job(runtime, name) is None
    ]
    if missing:
        yield (
            "spec.trainer.numNodes",
            (
                f"Invalid value: {nodes}: must be 1 when the MPI runtime with runLauncherAsNode "
                f"does not have both a launcher and a node job; it lacks: {', '.join(missing)}"
            ),
        )
