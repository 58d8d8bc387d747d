"""Rules for MPI jobs: reserved variables, and the steps that a launcher needs."""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.step_names import LAUNCHER, NODE
from reconciler.api.validation.frameworks import reserved_env


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job with an MPI runtime."""
    yield from reserved_env.check(job.spec.trainer, "mpi")
    policy = runtime.spec.ml_policy
    nodes = job.spec.trainer.num_nodes if job.spec.trainer else None
    if not (policy and policy.mpi and policy.mpi.run_launcher_as_node) or nodes is None or nodes < 2:
        return
    jobset = runtime.spec.jobset
    missing = [name for name in (LAUNCHER, NODE) if jobset.find_replicated_job(name) is None]
    if missing:
        yield (
            "spec.trainer.numNodes",
            (
                f"Invalid value: {nodes}: must be 1 when the MPI runtime with runLauncherAsNode "
                f"does not have both a launcher and a node job; it lacks: {', '.join(missing)}"
            ),
        )
