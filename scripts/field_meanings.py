"""The effect of a manifest's fields on one host, where it is not simply that on a cluster.

Fields without effect, and those that a plan supports in part, are in the code's own tables
(:mod:`reconciler.api.validation.unsupported_fields`, :mod:`reconciler.plan.pod.partial_support`); here are
those that are done differently and need no warning. Read by ``generate_reference.py``; a test holds that
every field named here exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from reconciler.api.models.base import Model
from reconciler.api.models.model_fields import get_fields, unwrap
from reconciler.api.validation.unsupported_fields import UNSUPPORTED_FIELDS
from reconciler.plan import job_policies
from reconciler.plan.pod import partial_support

UNUSED: Final = "read and not used"
#: Type -> field -> how it is done here.
PARTLY: Final[Mapping[str, Mapping[str, str]]] = {
    "ObjectMeta": {
        "creationTimestamp": "read and not used; the job's own is in its status",
        "deletionGracePeriodSeconds": "read and not used: a manifest that is removed is a deletion",
        "deletionTimestamp": "read and not used: a manifest that is removed is a deletion",
        "finalizers": "read and not used: nothing here waits for them",
        "generateName": "read and not used: a manifest has a name",
        "generation": "read and not used; the job's own is in its status",
        "managedFields": "read and not used",
        "ownerReferences": "read and not used",
        "resourceVersion": "read and not used",
        "selfLink": "read and not used",
        "uid": "read and not used; the job's own is in its status",
    },
    "TrainJob": {"status": "read and not used; what is found goes into the `.status.yaml` file"},
    "TrainJobSpec": {"managedBy": "`kueue.x-k8s.io/multikueue`: the job is left alone"},
    "DatasetInitializer": {"secretRef": "from a Secret in the folder"},
    "ModelInitializer": {"secretRef": "from a Secret in the folder"},
    "EnvVarSource": {
        "configMapKeyRef": "from a ConfigMap in the folder",
        "fieldRef": "the paths that one host knows; another gives an empty value and a warning",
        "fileKeyRef": "not supported: the variable is left out, with a warning",
        "resourceFieldRef": "a limit that is set; a node's capacity is not known: 0 and a warning",
        "secretKeyRef": "from a Secret in the folder",
    },
    "FileKeySelector": dict.fromkeys(
        ("key", "path", "volumeName", "optional"), "read and not used: `fileKeyRef` is not supported"
    ),
    "EnvFromSource": {
        "configMapRef": "from a ConfigMap in the folder",
        "secretRef": "from a Secret in the folder",
    },
    "ResourceRequirements": {
        "requests": "count for the queue; `cpu` also as the container's share of processor time",
        "limits": "`cpu`, `memory`, devices; `ephemeral-storage` and `hugepages-*` only give a warning",
    },
    "TrainingRuntimeSpec": {"podGroupPolicy": "read and not used: a job starts or waits as a whole anyway"},
    "MPIMLPolicySource": {"mpiImplementation": "OpenMPI, the only one that upstream has"},
    "PersistentVolumeClaim": {
        "spec": "read and not used: a volume of the engine has no class, size or access mode",
        "status": "read and not used",
    },
    "JobSetSpec": {
        "network": "names on the job's own network, always published",
        "volumeClaimPolicies": "a volume of the engine by each claim's name",
    },
    "Network": {
        "enableDNSHostnames": "always on",
        "publishNotReadyAddresses": "always: names are known from the start",
    },
    "FailurePolicy": {"restartStrategy": "`InPlaceRestart` is done as `Recreate`, with a warning"},
    "PodFailurePolicyRule": {
        "onPodConditions": "no pod is disrupted on one host: never matches, with a warning"
    },
    "JobSpec": {
        "completions": "set to the parallelism, as Kubeflow Trainer does",
    },
    "PodSpec": {
        "dnsPolicy": "not read: the job's network resolves names, `dnsConfig` adds to it",
        "hostname": "for a step of one instance; several are each called by their own name, with a warning",
        "imagePullSecrets": "from a Secret in the folder; else what the engine's own login has",
        "priorityClassName": "the queue's priority, by a PriorityClass in the folder or a system class",
        "priority": "the queue's priority",
    },
    "PodSecurityContext": {
        "fsGroup": "given as a further group, and to the files made for the job",
        "fsGroupChangePolicy": "volumes' owners are not changed",
        "seLinuxChangePolicy": "the engine's own way",
        "supplementalGroupsPolicy": "the engine's own way",
        "seLinuxOptions": "where the engine's host has SELinux",
        "appArmorProfile": "where the engine's host has AppArmor",
    },
    "SecurityContext": {
        "seLinuxOptions": "where the engine's host has SELinux",
        "appArmorProfile": "where the engine's host has AppArmor",
        "procMount": "the engine's own way, with a warning",
    },
    "Container": {
        "ports": "names for probes; nothing is published on the host: the job's network reaches every port",
        "readinessProbe": "counts for steps that wait with `dependsOn: Ready`",
        "startupProbe": "what comes after waits for it; one that fails restarts nothing, with a warning",
        "terminationMessagePath": "not read: the last lines of the log stand in the failure",
        "terminationMessagePolicy": "not read: the last lines of the log stand in the failure",
        "workingDir": "as given",
    },
    "ContainerPort": {
        "hostIP": "nothing is published on the host",
        "hostPort": "nothing is published on the host",
        "protocol": "informational",
    },
    "GRPCAction": {
        "port": "whether it takes connections is checked, with a warning",
        "service": "not asked for",
    },
    "HTTPGetAction": {
        "host": "always the container itself, with a warning",
        "httpHeaders": "as the kubelet sends them; `Host` changes the header, not the address",
    },
    "TCPSocketAction": {"host": "always the container itself, with a warning"},
    "LifecycleHandler": {
        "httpGet": "in probes; before a stop only `exec` and `sleep` are run, with a warning",
        "tcpSocket": "in probes; before a stop only `exec` and `sleep` are run, with a warning",
    },
    "Lifecycle": {
        "postStart": "not run, with a warning",
        "stopSignal": "containers are stopped by the signal their image names, with a warning",
    },
    "Volume": {
        "persistentVolumeClaim": "a volume of the engine by the claim's name; it stays when the job goes",
        "configMap": "files, from a ConfigMap in the folder",
        "secret": "files, from a Secret in the folder",
        "projected": "files",
        "downwardAPI": "files",
        "hostPath": "as given",
        "emptyDir": "a volume of the engine, or memory; removed with the attempt",
    },
    "EmptyDirVolumeSource": {"sizeLimit": "for `medium: Memory`; a folder is not limited, with a warning"},
}
_IGNORED_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "PodSpec": partial_support._POD,
    "Container": partial_support._CONTAINER,
    "JobSpec": job_policies._IGNORED_FIELDS,
    "VolumeMount": partial_support._MOUNT,
}


def reachable_types(root: type[Model]) -> Iterator[type[Model]]:
    """Yields the types under ``root`` that a field with an effect leads to, in reading order."""
    seen: set[type[Model]] = set()
    waiting = [root]
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield model
        for name, annotation in get_fields(model).items():
            if field_effect(model, name)[0] in {"works", "partly"}:
                waiting += list(_models_in(annotation))


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    """Yields the model classes in an annotation itself, not those below them."""
    here = unwrap(annotation)
    if isinstance(here, type) and issubclass(here, Model):
        yield here
        return
    for argument in get_args(here):
        if argument is not Ellipsis:
            yield from _models_in(argument)


def field_effect(model: type[Model], field: str) -> tuple[str, str]:
    """Returns ``works``, ``partly``, ``not used``, ``not done`` or ``no effect``, and a note on it."""
    name = model.__name__.removesuffix("Patch")
    if (note := UNSUPPORTED_FIELDS.get(name, {}).get(field)) is not None:
        return "no effect", note
    if (note := _IGNORED_FIELDS.get(name, {}).get(field)) is not None:
        return "not done", note
    if (note := PARTLY.get(name, {}).get(field)) is None:
        return "works", ""
    if note.startswith(UNUSED):
        return "not used", note.removeprefix(UNUSED).lstrip(":;, ")
    return "partly", note
