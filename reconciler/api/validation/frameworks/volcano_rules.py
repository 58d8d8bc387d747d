"""Rules for jobs that are gang-scheduled by Volcano: the name of a queue is not empty.

There are no queues of Volcano here, but a manifest that a cluster rejects is rejected here too. Whether a
PriorityClass exists is not checked: on one host only its name is used.
"""

from __future__ import annotations

from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob

_QUEUE: Final = "scheduling.volcano.sh/queue-name"


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job whose runtime asks for Volcano."""
    gang = runtime.spec.pod_group_policy
    if gang is None or gang.volcano is None:
        return
    path, queue = _find_queue(job, runtime)
    if queue == "":
        yield (
            path,
            (
                f'Invalid value: "": Volcano queue name must not be empty: the annotation {_QUEUE} of the '
                "runtime's template, with the job's patches, names none; give it a name, or leave it out"
            ),
        )


def _find_queue(job: TrainJob, runtime: Runtime) -> tuple[str, str | None]:
    """Returns the path that names the queue last, and the name; None where no annotation names one."""
    template = runtime.spec.template
    metadata = template.metadata if template else None
    path, queue = "spec.runtimeRef", metadata.annotations.get(_QUEUE) if metadata else None
    for index, patch in enumerate(job.spec.runtime_patches):
        metadata = patch.template.metadata if patch.template else None
        if metadata is not None and _QUEUE in metadata.annotations:
            path = f"spec.runtimePatches[{index}].trainingRuntimeSpec.template.metadata.annotations"
            queue = metadata.annotations[_QUEUE]
    return path, queue
