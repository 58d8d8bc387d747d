"""Admission of Flux jobs: one init container's name is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api import steps
from reconciler.api.runtimes import Runtime
from reconciler.api.trainjobs import TrainJob

INSTALLER: Final = "flux-installer"


def check(_job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job that uses a Flux runtime."""
    job = steps.find_job(runtime, steps.NODE)
    pod = steps.pod_of(job) if job else None
    if pod and any(container.name == INSTALLER for container in pod.init_containers):
        yield (
            "spec.runtimeRef",
            f"Invalid value: the init container name {INSTALLER!r} is reserved for Flux; rename it",
        )
