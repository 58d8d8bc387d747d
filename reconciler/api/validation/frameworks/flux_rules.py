"""Rules for Flux jobs: the name of one init container is reserved."""

from __future__ import annotations

from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.step_names import NODE

_INSTALLER: Final = "flux-installer"


def check(_job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job with a Flux runtime."""
    node = runtime.spec.jobset.find_replicated_job(NODE)
    pod = node.pod_spec if node else None
    if pod and any(container.name == _INSTALLER for container in pod.init_containers):
        yield (
            "spec.runtimeRef",
            f"Invalid value: the init container name {_INSTALLER!r} is reserved for Flux; rename it",
        )
