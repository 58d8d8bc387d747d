"""Names and labels that scripts and people rely on (DESIGN: "Names on the engine").

Pure, and at the bottom of the import order: everything else may use it.
"""

from __future__ import annotations

import hashlib
from typing import Final

API_GROUP: Final = "trainer.kubeflow.org"
API_VERSION: Final = f"{API_GROUP}/v1alpha1"
DEFAULT_NAMESPACE: Final = "default"

#: The seed text's label (``podman ps --filter label=kubeflow.org/job-name=...``) and upstream's own.
LABEL_JOB: Final = "kubeflow.org/job-name"
LABEL_TRAINJOB: Final = "trainer.kubeflow.org/trainjob-name"
#: Upstream's mark of a replicated job's part in the training (``trainer``, ``dataset-initializer``, ...).
LABEL_ANCESTOR: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
LABEL_FRAMEWORK: Final = "trainer.kubeflow.org/framework"

PREFIX: Final = "reconciler.trainer.kubeflow.org/"
LABEL_NAMESPACE: Final = PREFIX + "namespace"
LABEL_UID: Final = PREFIX + "uid"
LABEL_STEP: Final = PREFIX + "step"
LABEL_INDEX: Final = PREFIX + "index"
LABEL_RANK: Final = PREFIX + "rank"
LABEL_CONTAINER: Final = PREFIX + "container"
LABEL_KIND: Final = PREFIX + "kind"
LABEL_ATTEMPT: Final = PREFIX + "attempt"
LABEL_RESTART: Final = PREFIX + "restart"
LABEL_SPEC_HASH: Final = PREFIX + "spec-hash"
LABEL_INSTANCE: Final = PREFIX + "instance"
LABEL_DEVICES: Final = PREFIX + "devices"
#: The commit in force when it was made; it says nothing of the present.
LABEL_REVISION: Final = PREFIX + "revision"

#: Of the status that a followed repository has.
SOURCE_API_VERSION: Final = "reconciler.trainer.kubeflow.org/v1alpha1"
SOURCE_KIND: Final = "GitRepository"

#: Annotations of a TrainJob that this project reads.
ANNOTATION_RESTART_SCOPE: Final = PREFIX + "restart-scope"
ANNOTATION_UPDATE_POLICY: Final = PREFIX + "update-policy"
ANNOTATION_STALL_TIMEOUT: Final = PREFIX + "stall-timeout"
ANNOTATION_PRIORITY: Final = PREFIX + "priority"
#: Who wrote the manifest: ``client`` for the Python client.
ANNOTATION_SUBMITTED_BY: Final = PREFIX + "submitted-by"

#: Upstream's reason of the Failed condition for a runtime of an unknown kind.
RUNTIME_NOT_SUPPORTED: Final = "TrainingRuntimeNotSupported"

MASTER_PORT: Final = 29500
HOSTNAME_LIMIT: Final = 63


def qualified(namespace: str, name: str) -> str:
    """``name``, prefixed ``<namespace>.`` unless the namespace is ``default``."""
    return name if namespace == DEFAULT_NAMESPACE else f"{namespace}.{name}"


def network_name(namespace: str, job: str) -> str:
    """``<job>-net``."""
    return f"{qualified(namespace, job)}-net"


def instance_name(namespace: str, job: str, step: str, index: int, count: int) -> str:
    """Name of one instance (pod) of a step: ``<job>-node-<rank>``; others ``<job>-<step>[-<index>]``.

    Args:
        namespace: of the job.
        job: name of the TrainJob.
        step: name of the replicated job.
        index: of the instance in its step, from 0.
        count: how many instances the step has.
    """
    base = f"{qualified(namespace, job)}-{step}"
    return f"{base}-{index}" if step == "node" or count > 1 else base


def host_name(container_name: str) -> str:
    """The container's name as a host name of at most 63 characters (RFC 1123 label).

    A longer name is cut and given a hash, its ``-<rank>`` kept, so that it stays unique and readable;
    dots (of the namespace prefix) become dashes.
    """
    plain = container_name.replace(".", "-")
    if len(plain) <= HOSTNAME_LIMIT:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
    tail = "-" + plain.rsplit("-", 1)[-1] if "-" in plain[-12:] else ""
    return plain[: HOSTNAME_LIMIT - len(tail) - 9].rstrip("-") + "-" + digest + tail


def job_labels(*, namespace: str, job: str, uid: str, instance: str) -> dict[str, str]:
    """Labels that every container, network and volume of a job carries."""
    return {
        LABEL_JOB: job,
        LABEL_TRAINJOB: job,
        LABEL_NAMESPACE: namespace,
        LABEL_UID: uid,
        LABEL_INSTANCE: instance,
    }


def job_key(namespace: str, name: str) -> str:
    """The key of a job in queues and records: ``namespace/name``."""
    return f"{namespace}/{name}"
