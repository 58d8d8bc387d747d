"""Admission of Flux jobs: one init container's name is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api import runtime_lookup
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob

INSTALLER: Final = "flux-installer"


def check(_job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job that uses a Flux runtime."""
    job = runtime_lookup.find_job(runtime, runtime_lookup.NODE)
    pod = runtime_lookup.pod_of(job) if job else None
    if pod and any(container.name == INSTALLER for container in pod.init_containers):
        yield (
            "spec.runtimeRef",
            f"Invalid value: the init container name {INSTALLER!r} is reserved for Flux; rename it",
        )
