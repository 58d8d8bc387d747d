"""How a training reports its progress: upstream's plugin TrainJobStatus.

Every regular container of the trainer's step gets a URL, the CA's certificate and a token, the last two as
files of a projected volume. The address in the URL is a reference, because it is the gateway of a network
that does not exist yet; the controller writes the files. Where the training cannot reach the endpoint,
:func:`remove_pod_reporting` takes all of it out again: a script must not wait for a server in vain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.api.field_paths import pod_spec_path
from reconciler.names import API_VERSION
from reconciler.plan.draft import JobDraft, set_mount, set_value
from reconciler.plan.expansion import PROGRESS_REFERENCE
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, StepPlan

URL_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_URL"
CA_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105  (a name)
MOUNT_PATH: Final = "/var/run/secrets/kubeflow/trainer"
CA_FILE: Final = "ca.crt"
TOKEN_FILE: Final = "token"  # noqa: S105  (a name)
TOKEN_VOLUME: Final = "kubeflow-trainer-token"  # noqa: S105  (a name)
TOKEN_SECONDS: Final = 3600


def token_audience(namespace: str, job: str) -> str:
    """Returns the audience of a job's token; after ``/apis/`` it is the path of the endpoint as well."""
    return f"{API_VERSION}/namespaces/{namespace}/trainjobs/{job}/status"


def ca_config_map_name(job: str) -> str:
    """Returns upstream's ConfigMap with the CA's certificate."""
    return f"{job}-tls-config"


def token_secret_name(job: str) -> str:
    """Returns the Secret that holds the token, which upstream gets from the API server."""
    return f"{job}-status-token"


def add_progress_reporting(draft: JobDraft) -> None:
    """Adds variables, mount and volume to the trainer's step; the job's own environment may override them."""
    step = draft.trainer_step
    if step is None:
        return
    for container in step.containers:
        for name, value in _variables(draft.namespace, draft.name).items():
            set_value(container, name, value)
        set_mount(container, {"name": TOKEN_VOLUME, "mountPath": MOUNT_PATH, "readOnly": True})
    token = {
        "audience": token_audience(draft.namespace, draft.name),
        "expirationSeconds": TOKEN_SECONDS,
        "path": TOKEN_FILE,
    }
    certificate = {"name": ca_config_map_name(draft.name), "items": [{"key": CA_FILE, "path": CA_FILE}]}
    sources = [{"serviceAccountToken": token}, {"configMap": certificate}]
    step.add_volume({"name": TOKEN_VOLUME, "projected": {"sources": sources}})


def token_field_path(draft: JobDraft) -> str:
    """Returns the field path of the added token; unlike other service account tokens it has an effect."""
    step = draft.trainer_step
    names = [volume["name"] for volume in step.pod.get("volumes") or ()] if step is not None else []
    if step is None or TOKEN_VOLUME not in names:
        return ""
    volume = f"volumes[{names.index(TOKEN_VOLUME)}]"
    return f"{pod_spec_path(step.position)}.{volume}.projected.sources[0].serviceAccountToken"


def is_reporting(pod: PodPlan) -> bool:
    """Whether the pod's containers are to report their progress."""
    return any(volume.name == TOKEN_VOLUME for volume in pod.volumes)


def remove_reporting(plan: JobPlan) -> JobPlan:
    """Returns the plan without what :func:`add_progress_reporting` added to any pod."""

    def without(step: StepPlan) -> StepPlan:
        if not any(is_reporting(pod) for pod in step.pods):
            return step
        pods = tuple(remove_pod_reporting(pod, plan.namespace, plan.name) for pod in step.pods)
        return replace(step, pods=pods)

    return replace(plan, steps=tuple(without(step) for step in plan.steps))


def remove_pod_reporting(pod: PodPlan, namespace: str, job: str) -> PodPlan:
    """Returns the pod without what :func:`add_progress_reporting` added; variables of the user's own stay."""
    added = _variables(namespace, job)

    def without(container: ContainerPlan) -> ContainerPlan:
        return replace(
            container,
            env=tuple(v for v in container.env if v.ref is not None or added.get(v.name) != v.value),
            mounts=tuple(m for m in container.mounts if m.volume != TOKEN_VOLUME),
        )

    return replace(
        pod,
        containers=tuple(without(container) for container in pod.containers),
        volumes=tuple(v for v in pod.volumes if v.name != TOKEN_VOLUME),
    )


def _variables(namespace: str, job: str) -> dict[str, str]:
    return {
        URL_VARIABLE: f"https://{PROGRESS_REFERENCE}/apis/{token_audience(namespace, job)}",
        CA_VARIABLE: f"{MOUNT_PATH}/{CA_FILE}",
        TOKEN_VARIABLE: f"{MOUNT_PATH}/{TOKEN_FILE}",
    }
