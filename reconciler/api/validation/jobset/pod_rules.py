"""What the API server refuses in a pod template when a Job is made of it.

Upstream's own admission lets these through and the job then never starts; said here before anything runs.
Only what holds of a template by itself is an error: what a patch or a framework adds later is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.api.models.base import manifest_name
from reconciler.api.models.batch_job import JobSpec
from reconciler.api.models.core.container import Container, ResourceRequirements
from reconciler.api.models.core.environment import EnvVar
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.core.volume import Volume
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.name_syntax import LARGEST_ID, env_name_problem, label_1123_problem
from reconciler.api.quantities import parse
from reconciler.api.runtime_lookup import job_path, pod_path
from reconciler.api.validation.jobset.pod_failure_rules import check as check_failure_policy
from reconciler.api.validation.labels import template_errors

_RESTART: Final = ("OnFailure", "Never")
_PULL: Final = ("Always", "IfNotPresent", "Never")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_COMPLETION_MODES: Final = ("NonIndexed", "Indexed")
_LARGEST_PORT: Final = 65535

Found = Iterator[tuple[str, str]]


def check(job: ReplicatedJob, index: int) -> Found:
    """Path and message of each fault in a replicated job's Job and pod template."""
    spec = job.template.spec
    yield from template_errors(job.template.metadata, f"{job_path(index)}.template.metadata")
    if spec is None:
        yield f"{job_path(index)}.template.spec", "Required value: a replicated job needs a pod template"
        return
    yield from _job(spec, f"{job_path(index)}.template.spec")
    yield from template_errors(spec.template.metadata, f"{job_path(index)}.template.spec.template.metadata")
    if spec.template.spec is None:
        yield (
            f"{job_path(index)}.template.spec.template.spec",
            "Required value: the pod template needs a spec",
        )
        return
    yield from _pod(spec.template.spec, pod_path(index))


def _job(spec: JobSpec, base: str) -> Found:
    numbers = {
        "parallelism": spec.parallelism,
        "completions": spec.completions,
        "backoffLimit": spec.backoff_limit,
        "activeDeadlineSeconds": spec.active_deadline_seconds,
        "ttlSecondsAfterFinished": spec.ttl_seconds_after_finished,
        "backoffLimitPerIndex": spec.backoff_limit_per_index,
        "maxFailedIndexes": spec.max_failed_indexes,
    }
    for name, number in numbers.items():
        if number is not None and number < 0:
            yield f"{base}.{name}", f"Invalid value: {number}: must be greater than or equal to 0"
    yield from one_of(spec.completion_mode, _COMPLETION_MODES, f"{base}.completionMode")
    yield from check_failure_policy(spec, base)


def _pod(pod: PodSpec, base: str) -> Found:
    yield from one_of(pod.restart_policy, _RESTART, f"{base}.restartPolicy")
    grace = pod.termination_grace_period_seconds
    if grace is not None and grace < 0:
        path = f"{base}.terminationGracePeriodSeconds"
        yield path, f"Invalid value: {grace}: must be greater than or equal to 0"
    if pod.active_deadline_seconds is not None and pod.active_deadline_seconds < 1:
        path = f"{base}.activeDeadlineSeconds"
        yield path, f"Invalid value: {pod.active_deadline_seconds}: must be greater than or equal to 1"
    if not pod.containers:
        yield f"{base}.containers", "Required value: a pod needs at least one container"
    names: set[str] = set()
    for field, containers in (("initContainers", pod.init_containers), ("containers", pod.containers)):
        for index, container in enumerate(containers):
            path = f"{base}.{field}[{index}]"
            if container.name in names:
                yield f"{path}.name", f'Duplicate value: "{container.name}": another container has this name'
            names.add(container.name)
            yield from _container(container, path)
    for index, volume in enumerate(pod.volumes):
        yield from _volume(volume, f"{base}.volumes[{index}]")
    if (context := pod.security_context) is not None:
        groups = [(f"supplementalGroups[{n}]", group) for n, group in enumerate(context.supplemental_groups)]
        yield from _ids(
            (
                ("runAsUser", context.run_as_user),
                ("runAsGroup", context.run_as_group),
                ("fsGroup", context.fs_group),
                *groups,
            ),
            f"{base}.securityContext",
        )


def _container(container: Container, base: str) -> Found:
    if problem := label_1123_problem(container.name):
        yield f"{base}.name", f'Invalid value: "{container.name}": {problem}'
    yield from one_of(container.image_pull_policy, _PULL, f"{base}.imagePullPolicy")
    yield from environment(container.env, f"{base}.env")
    for index, port in enumerate(container.ports):
        path = f"{base}.ports[{index}]"
        if not 0 < port.container_port <= _LARGEST_PORT:
            yield (
                f"{path}.containerPort",
                f"Invalid value: {port.container_port}: must be between 1 and 65535",
            )
        yield from one_of(port.protocol, _PROTOCOLS, f"{path}.protocol")
    for index, mount in enumerate(container.volume_mounts):
        path = f"{base}.volumeMounts[{index}]"
        if not mount.mount_path:
            yield f"{path}.mountPath", "Required value: the path in the container"
        if mount.sub_path and mount.sub_path_expr:
            yield f"{path}.subPathExpr", "Invalid value: subPathExpr and subPath are mutually exclusive"
        if mount.sub_path and (mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/")):
            message = f'Invalid value: "{mount.sub_path}": must be a relative path without ".."'
            yield f"{path}.subPath", message
    yield from resources(container.resources, f"{base}.resources")
    if (context := container.security_context) is not None:
        ids = (("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group))
        yield from _ids(ids, f"{base}.securityContext")


def _ids(numbers: Iterable[tuple[str, int | None]], base: str) -> Found:
    """Faults of users and groups: an engine may take a number that is none for another one."""
    for field, number in numbers:
        if number is not None and not 0 <= number <= LARGEST_ID:
            yield (
                f"{base}.{field}",
                f"Invalid value: {number}: must be between 0 and {LARGEST_ID}, inclusive",
            )


def environment(variables: tuple[EnvVar, ...], base: str) -> Found:
    """Faults of environment variables: names, and values from two places."""
    for index, variable in enumerate(variables):
        path = f"{base}[{index}]"
        if problem := env_name_problem(variable.name):
            yield f"{path}.name", f'Invalid value: "{variable.name}": {problem}'
        source = variable.value_from
        if source is None:
            continue
        if variable.value:
            message = "Invalid value: may not be specified when value is not empty; remove one of them"
            yield f"{path}.valueFrom", message
        given = len(source.model_fields_set)
        if given != 1:
            wanted = "configMapKeyRef, fieldRef, resourceFieldRef, secretKeyRef"
            yield f"{path}.valueFrom", f"Invalid value: must specify exactly one of: {wanted}"


def resources(requirements: ResourceRequirements | None, base: str) -> Found:
    """Faults of resources: negative amounts, and requests beyond their limits."""
    if requirements is None:
        return
    for field, listed in (("limits", requirements.limits), ("requests", requirements.requests)):
        for name, amount in listed.items():
            if parse(amount) < 0:
                path = f"{base}.{field}{_key(name)}"
                yield path, f'Invalid value: "{amount}": must be greater than or equal to 0'
    for name, amount in requirements.requests.items():
        limit = requirements.limits.get(name)
        if limit is not None and parse(amount) > parse(limit):
            path = f"{base}.requests{_key(name)}"
            yield path, f'Invalid value: "{amount}": must be less than or equal to {name} limit of {limit}'


def _volume(volume: Volume, base: str) -> Found:
    if problem := label_1123_problem(volume.name):
        yield f"{base}.name", f'Invalid value: "{volume.name}": {problem}'
    sources = sorted(manifest_name(source) for source in volume.model_fields_set - {"name"})
    if len(sources) > 1:
        yield base, f"Forbidden: may not specify more than 1 volume type (it has {', '.join(sources)})"
    if volume.host_path is not None and ".." in volume.host_path.path.split("/"):
        yield f"{base}.hostPath.path", f'Invalid value: "{volume.host_path.path}": must not contain ".."'


def one_of(value: str | None, supported: tuple[str, ...], path: str) -> Found:
    """A fault when ``value`` is given and none of ``supported``."""
    if value is not None and value not in supported:
        listed = ", ".join(f'"{known}"' for known in supported)
        yield path, f'Unsupported value: "{value}": supported values: {listed}'


def _key(name: str) -> str:
    return f".{name}" if name.replace("-", "").isalnum() else f"[{name}]"
