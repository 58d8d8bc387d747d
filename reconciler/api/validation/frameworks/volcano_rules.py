"""Admission of jobs that are gang-scheduled by Volcano: a queue that is named has a name.

There are no queues of Volcano here, but a manifest that a cluster refuses is refused here too. Whether
a PriorityClass is there is not asked: on one host the name alone is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob

QUEUE: Final = "scheduling.volcano.sh/queue-name"


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job whose runtime asks for Volcano."""
    gang = runtime.spec.pod_group_policy
    if gang is None or gang.volcano is None:
        return
    path, queue = _queue(job, runtime)
    if queue == "":
        yield (
            path,
            (
                f'Invalid value: "": Volcano queue name must not be empty: the annotation {QUEUE} of the '
                "runtime's template, with the job's patches, names none; give it a name, or leave it out"
            ),
        )


def _queue(job: TrainJob, runtime: Runtime) -> tuple[str, str | None]:
    """Where the queue is named last, and its name; None where no annotation names one."""
    template = runtime.spec.template
    metadata = template.metadata if template else None
    path, queue = "spec.runtimeRef", metadata.annotations.get(QUEUE) if metadata else None
    for index, patch in enumerate(job.spec.runtime_patches):
        changed = patch.training_runtime_spec.template if patch.training_runtime_spec else None
        metadata = changed.metadata if changed else None
        if metadata is not None and QUEUE in metadata.annotations:
            path = f"spec.runtimePatches[{index}].trainingRuntimeSpec.template.metadata.annotations"
            queue = metadata.annotations[QUEUE]
    return path, queue
