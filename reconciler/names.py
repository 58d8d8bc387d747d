"""Names, labels and annotations that users and scripts rely on (DESIGN: "Names on the engine").

Pure, and next to the bottom of the import order: every package may use it. The reference pages are generated
from the ``#:`` comments of the ``LABEL_`` and ``ANNOTATION_`` constants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

API_GROUP: Final = "trainer.kubeflow.org"
API_VERSION: Final = f"{API_GROUP}/v1alpha1"
DEFAULT_NAMESPACE: Final = "default"

#: Name of the job: ``podman ps --filter label=kubeflow.org/job-name=NAME`` finds it.
LABEL_JOB: Final = "kubeflow.org/job-name"
#: The same, under upstream's name.
LABEL_TRAINJOB: Final = "trainer.kubeflow.org/trainjob-name"
#: In a runtime: which part of the training a replicated job is: ``trainer``, ``dataset-initializer``,
#: ``model-initializer``.
LABEL_ANCESTOR: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
#: In a runtime: the framework it is for.
LABEL_FRAMEWORK: Final = "trainer.kubeflow.org/framework"

#: Words for jobs as kubectl has them, the plural first.
JOB_WORDS: Final = ("jobs", "job", "trainjobs", "trainjob", "tj", f"trainjobs.{API_GROUP}")

#: Of this project's own labels and annotations.
KEY_PREFIX: Final = "reconciler.trainer.kubeflow.org/"
#: Namespace of the job.
LABEL_NAMESPACE: Final = KEY_PREFIX + "namespace"
#: The job's identity: a job that was deleted and created again has another.
LABEL_UID: Final = KEY_PREFIX + "uid"
#: Name of the step (replicated job).
LABEL_STEP: Final = KEY_PREFIX + "step"
#: Number of the pod within its step, from 0.
LABEL_INDEX: Final = KEY_PREFIX + "index"
#: Rank of the node; only on containers of nodes.
LABEL_RANK: Final = KEY_PREFIX + "rank"
#: The container's name in the pod template.
LABEL_CONTAINER: Final = KEY_PREFIX + "container"
#: ``main``, ``init`` or ``sidecar``.
LABEL_KIND: Final = KEY_PREFIX + "kind"
#: Number of the job's attempt, from 0.
LABEL_ATTEMPT: Final = KEY_PREFIX + "attempt"
#: How often this container was restarted on its own.
LABEL_RESTART: Final = KEY_PREFIX + "restart"
#: Hash of the specification it was created from; a different one means that it is out of date.
LABEL_SPEC_HASH: Final = KEY_PREFIX + "spec-hash"
#: The specs folder whose daemon owns it (``--instance``); no other daemon touches it.
LABEL_INSTANCE: Final = KEY_PREFIX + "instance"
#: Devices assigned to it.
LABEL_DEVICES: Final = KEY_PREFIX + "devices"
#: The commit in force when it was created; the present one may be another.
LABEL_REVISION: Final = KEY_PREFIX + "revision"

#: ``container`` or ``gang``: what a failure restarts; wins over ``--restart-scope``.
ANNOTATION_RESTART_SCOPE: Final = KEY_PREFIX + "restart-scope"
#: ``Refuse`` or ``Recreate``: what a change of an immutable field does; wins over ``--update-policy``.
ANNOTATION_UPDATE_POLICY: Final = KEY_PREFIX + "update-policy"
#: The job fails after this time (``10m``) without a line of output or a progress report.
ANNOTATION_STALL_TIMEOUT: Final = KEY_PREFIX + "stall-timeout"
#: The job's priority in the queue, a whole number; the highest goes first.
ANNOTATION_PRIORITY: Final = KEY_PREFIX + "priority"
#: What wrote the manifest: ``client`` for the Python client.
ANNOTATION_SUBMITTED_BY: Final = KEY_PREFIX + "submitted-by"
#: A new value runs the job again; ``reconciler rerun`` sets it.
ANNOTATION_RERUN: Final = KEY_PREFIX + "rerun"
#: Name of the runtime that was asked for, where the Python client wrote the job a runtime of its own.
ANNOTATION_RUNTIME: Final = KEY_PREFIX + "runtime"

#: ``apiVersion`` and ``kind`` of the status object of a followed repository.
SOURCE_API_VERSION: Final = "reconciler.trainer.kubeflow.org/v1alpha1"
SOURCE_KIND: Final = "GitRepository"

#: Upstream's reason of the Failed condition for a runtime of an unknown kind.
RUNTIME_NOT_SUPPORTED: Final = "TrainingRuntimeNotSupported"

MASTER_PORT: Final = 29500
HOSTNAME_LIMIT: Final = 63


def short_key(key: str) -> str:
    """Returns a job's key ``<namespace>/<name>`` as users type it: without the namespace ``default``."""
    return key.removeprefix(f"{DEFAULT_NAMESPACE}/")


def qualified_name(namespace: str, name: str) -> str:
    """Returns ``name``, prefixed ``<namespace>.`` unless the namespace is ``default``."""
    return name if namespace == DEFAULT_NAMESPACE else f"{namespace}.{name}"


def network_name(namespace: str, job: str) -> str:
    """Returns ``<job>-net``."""
    return f"{qualified_name(namespace, job)}-net"


def pod_name(namespace: str, job: str, step: str, index: int, count: int) -> str:
    """Returns ``<job>-node-<rank>`` for a node, ``<job>-<step>[-<index>]`` for a pod of another step.

    Args:
        namespace: of the job.
        job: name of the TrainJob.
        step: name of the replicated job.
        index: number of the pod within its step, from 0.
        count: number of pods that the step has.
    """
    base = f"{qualified_name(namespace, job)}-{step}"
    return f"{base}-{index}" if step == "node" or count > 1 else base


def container_names(labels: Mapping[str, str]) -> frozenset[str]:
    """Returns the names that this project gives to a container with these labels, whatever its job's plan.

    A copy carries the labels, and another name: one made by `docker commit` and `docker run`, or a clone.
    """
    namespace, job = labels.get(LABEL_NAMESPACE, DEFAULT_NAMESPACE), labels.get(LABEL_JOB, "")
    step, index, container = (labels.get(key, "") for key in (LABEL_STEP, LABEL_INDEX, LABEL_CONTAINER))
    if not (job and step and container and index.isdecimal()):
        return frozenset()
    steps = {step, "node"} if labels.get(LABEL_RANK) else {step}
    pods = {pod_name(namespace, job, name, int(index), count) for name in steps for count in (1, 2)}
    return frozenset(pods | {f"{pod}-{container}" for pod in pods})


def is_volume_name(name: str, namespace: str, job: str) -> bool:
    """Whether a job's own volume may have this name: ``<pod>-<volume>``, or a claim's that begins so."""
    return name.startswith(f"{qualified_name(namespace, job)}-")


def host_name(container_name: str) -> str:
    """Returns the container's name as a host name of at most 63 characters (RFC 1123 label).

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
    """Returns the labels that every container, network and volume of a job carries."""
    return {
        LABEL_JOB: job,
        LABEL_TRAINJOB: job,
        LABEL_NAMESPACE: namespace,
        LABEL_UID: uid,
        LABEL_INSTANCE: instance,
    }


def job_selector(namespace: str, name: str, instance: str) -> dict[str, str]:
    """Returns the labels by which an instance finds everything that a job has on the engine."""
    return {LABEL_INSTANCE: instance, LABEL_NAMESPACE: namespace, LABEL_JOB: name}


def job_key(namespace: str, name: str) -> str:
    """Returns the key of a job in queues and records: ``namespace/name``."""
    return f"{namespace}/{name}"


def job_key_of(labels: Mapping[str, str]) -> str:
    """Returns the key of the job whose labels an object on the engine carries."""
    return job_key(labels.get(LABEL_NAMESPACE, DEFAULT_NAMESPACE), labels.get(LABEL_JOB, ""))
