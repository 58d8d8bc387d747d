"""How a training reports its progress: upstream's plugin TrainJobStatus.

Every regular container of the trainer's step gets a URL, an authority's certificate and a token, both as
files of a projected volume. The address stands as a reference, because it is the gateway of a network that
does not exist yet, and the files are made by the controller. Where nobody could hear the training all of it
is taken out again (:func:`without_reporting`): a script must not wait for a server that it cannot reach.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciler.names import API_VERSION
from reconciler.plan.draft import JobDraft, set_mount, set_value
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, StepPlan

URL_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_URL"
CA_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN_VARIABLE: Final = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105  (a name)
FOLDER: Final = "/var/run/secrets/kubeflow/trainer"
CA_FILE: Final = "ca.crt"
TOKEN_FILE: Final = "token"  # noqa: S105  (a name)
VOLUME: Final = "kubeflow-trainer-token"
TOKEN_SECONDS: Final = 3600
#: Host and port at which the daemon listens for the pod.
ADDRESS: Final = "progress.address"


def audience(namespace: str, job: str) -> str:
    """What a job's token is good for; behind ``/apis/`` it is the path of the endpoint as well."""
    return f"{API_VERSION}/namespaces/{namespace}/trainjobs/{job}/status"


def authority_name(job: str) -> str:
    """Upstream's ConfigMap with the authority's certificate."""
    return f"{job}-tls-config"


def token_name(job: str) -> str:
    """The Secret that stands for the token, which upstream has from the API server."""
    return f"{job}-status-token"


def add_reporting(draft: JobDraft) -> None:
    """Give the containers of the trainer's step what they need, before the job's environment is laid over."""
    step = draft.trainer_step
    if step is None:
        return
    for container in step.containers:
        set_value(container, URL_VARIABLE, _url(draft.namespace, draft.name))
        set_value(container, CA_VARIABLE, f"{FOLDER}/{CA_FILE}")
        set_value(container, TOKEN_VARIABLE, f"{FOLDER}/{TOKEN_FILE}")
        set_mount(container, {"name": VOLUME, "mountPath": FOLDER, "readOnly": True})
    token = {
        "audience": audience(draft.namespace, draft.name),
        "expirationSeconds": TOKEN_SECONDS,
        "path": TOKEN_FILE,
    }
    certificate = {"name": authority_name(draft.name), "items": [{"key": CA_FILE, "path": CA_FILE}]}
    sources = [{"serviceAccountToken": token}, {"configMap": certificate}]
    step.add_volume({"name": VOLUME, "projected": {"sources": sources}})


def own_token_path(draft: JobDraft) -> str:
    """Field path of the token, which has a meaning here although other accounts' tokens have none."""
    step = draft.trainer_step
    names = [volume["name"] for volume in step.pod.get("volumes") or ()] if step is not None else []
    if step is None or VOLUME not in names:
        return ""
    volume = f"{step.path}.template.spec.template.spec.volumes[{names.index(VOLUME)}]"
    return f"{volume}.projected.sources[0].serviceAccountToken"


def reports(pod: PodPlan) -> bool:
    """Whether the pod's containers are to report."""
    return any(volume.name == VOLUME for volume in pod.volumes)


def without_reporting(pod: PodPlan, namespace: str, job: str) -> PodPlan:
    """The pod without what :func:`add_reporting` gave it; what the user has set himself stays."""
    ours = {
        URL_VARIABLE: _url(namespace, job),
        CA_VARIABLE: f"{FOLDER}/{CA_FILE}",
        TOKEN_VARIABLE: f"{FOLDER}/{TOKEN_FILE}",
    }

    def stripped(container: ContainerPlan) -> ContainerPlan:
        return replace(
            container,
            env=tuple(v for v in container.env if v.ref is not None or ours.get(v.name) != v.value),
            mounts=tuple(m for m in container.mounts if m.volume != VOLUME),
        )

    return replace(
        pod,
        containers=tuple(stripped(c) for c in pod.containers),
        volumes=tuple(v for v in pod.volumes if v.name != VOLUME),
    )


def plan_without_reporting(plan: JobPlan) -> JobPlan:
    """The same for all pods of a job."""

    def stripped(step: StepPlan) -> StepPlan:
        if not any(reports(i) for i in step.pods):
            return step
        return replace(step, pods=tuple(without_reporting(i, plan.namespace, plan.name) for i in step.pods))

    return replace(plan, steps=tuple(stripped(step) for step in plan.steps))


def _url(namespace: str, job: str) -> str:
    return f"https://$({ADDRESS})/apis/{audience(namespace, job)}"
