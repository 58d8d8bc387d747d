"""Rules of the API server for the Job and the pod template of a replicated job.

Only faults of the template itself are errors: what a patch or a framework adds later is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.api.faults import Findings, check_supported
from reconciler.api.field_paths import pod_spec_path, replicated_job_path
from reconciler.api.label_rules import check_template_labels
from reconciler.api.models.base import to_manifest_name
from reconciler.api.models.batch_job import JobSpec
from reconciler.api.models.core.container import Container, ResourceRequirements
from reconciler.api.models.core.environment import EnvVar
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.core.volume import Volume
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.name_syntax import LARGEST_ID, LARGEST_PORT, validate_env_name, validate_label_1123
from reconciler.api.quantities import parse
from reconciler.api.validation.jobset import probe_rules
from reconciler.api.validation.jobset.pod_failure_rules import check as check_pod_failure_policy

_RESTART_POLICIES: Final = ("OnFailure", "Never")
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_COMPLETION_MODES: Final = ("NonIndexed", "Indexed")
#: Seconds, where the pod does not say.
_DEFAULT_GRACE: Final = 30


def check(job: ReplicatedJob, index: int) -> Findings:
    """Yields the faults of a replicated job's Job and pod template."""
    base, spec = f"{replicated_job_path(index)}.template", job.template.spec
    yield from check_template_labels(job.template.metadata, f"{base}.metadata")
    if spec is None:
        yield f"{base}.spec", "Required value: a replicated job needs a pod template"
        return
    yield from _check_job(spec, f"{base}.spec")
    yield from check_template_labels(spec.template.metadata, f"{base}.spec.template.metadata")
    if spec.template.spec is None:
        yield pod_spec_path(index), "Required value: the pod template needs a spec"
        return
    yield from _check_pod(spec.template.spec, pod_spec_path(index))


def _check_job(spec: JobSpec, base: str) -> Findings:
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
        yield from _check_minimum(number, 0, f"{base}.{name}")
    yield from check_supported(spec.completion_mode, _COMPLETION_MODES, f"{base}.completionMode")
    yield from check_pod_failure_policy(spec, base)


def _check_minimum(number: int | None, least: int, path: str) -> Findings:
    if number is not None and number < least:
        yield path, f"Invalid value: {number}: must be greater than or equal to {least}"


def _check_pod(pod: PodSpec, base: str) -> Findings:
    yield from check_supported(pod.restart_policy, _RESTART_POLICIES, f"{base}.restartPolicy")
    grace = pod.termination_grace_period_seconds
    yield from _check_minimum(grace, 0, f"{base}.terminationGracePeriodSeconds")
    yield from _check_minimum(pod.active_deadline_seconds, 1, f"{base}.activeDeadlineSeconds")
    if not pod.containers:
        yield f"{base}.containers", "Required value: a pod needs at least one container"
    names: set[str] = set()
    for field, containers in (("initContainers", pod.init_containers), ("containers", pod.containers)):
        for index, container in enumerate(containers):
            path = f"{base}.{field}[{index}]"
            if container.name in names:
                yield f"{path}.name", f'Duplicate value: "{container.name}": another container has this name'
            names.add(container.name)
            yield from _check_container(container, path)
            if field == "initContainers" and container.restart_policy != "Always":
                yield from probe_rules.forbid_in_init_container(container, path)
            else:
                yield from probe_rules.check(
                    container, path, grace=_DEFAULT_GRACE if grace is None else grace
                )
    for index, volume in enumerate(pod.volumes):
        yield from _check_volume(volume, f"{base}.volumes[{index}]")
    if (context := pod.security_context) is not None:
        ids = {
            "runAsUser": context.run_as_user,
            "runAsGroup": context.run_as_group,
            "fsGroup": context.fs_group,
            **{f"supplementalGroups[{n}]": group for n, group in enumerate(context.supplemental_groups)},
        }
        yield from _check_ids(ids, f"{base}.securityContext")


def _check_container(container: Container, base: str) -> Findings:
    if problem := validate_label_1123(container.name):
        yield f"{base}.name", f'Invalid value: "{container.name}": {problem}'
    yield from check_supported(container.image_pull_policy, _PULL_POLICIES, f"{base}.imagePullPolicy")
    yield from check_env(container.env, f"{base}.env")
    for index, port in enumerate(container.ports):
        path = f"{base}.ports[{index}]"
        if not 0 < port.container_port <= LARGEST_PORT:
            yield (
                f"{path}.containerPort",
                f"Invalid value: {port.container_port}: must be between 1 and {LARGEST_PORT}",
            )
        yield from check_supported(port.protocol, _PROTOCOLS, f"{path}.protocol")
    for index, mount in enumerate(container.volume_mounts):
        path = f"{base}.volumeMounts[{index}]"
        if not mount.mount_path:
            yield f"{path}.mountPath", "Required value: the path in the container"
        if mount.sub_path and mount.sub_path_expr:
            yield f"{path}.subPathExpr", "Invalid value: subPathExpr and subPath are mutually exclusive"
        if mount.sub_path and (mount.sub_path.startswith("/") or ".." in mount.sub_path.split("/")):
            message = f'Invalid value: "{mount.sub_path}": must be a relative path without ".."'
            yield f"{path}.subPath", message
    yield from check_resources(container.resources, f"{base}.resources")
    if (context := container.security_context) is not None:
        ids = {"runAsUser": context.run_as_user, "runAsGroup": context.run_as_group}
        yield from _check_ids(ids, f"{base}.securityContext")


def _check_ids(numbers: Mapping[str, int | None], base: str) -> Findings:
    """Yields the faults of user and group ids: an engine may take an invalid number for another id."""
    for field, number in numbers.items():
        if number is not None and not 0 <= number <= LARGEST_ID:
            yield (
                f"{base}.{field}",
                f"Invalid value: {number}: must be between 0 and {LARGEST_ID}, inclusive",
            )


def check_env(variables: tuple[EnvVar, ...], base: str) -> Findings:
    """Yields the faults of environment variables: names, and values with two sources."""
    for index, variable in enumerate(variables):
        path = f"{base}[{index}]"
        if problem := validate_env_name(variable.name):
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


def check_resources(requirements: ResourceRequirements | None, base: str) -> Findings:
    """Yields the faults of resources: negative amounts, and requests beyond their limits."""
    if requirements is None:
        return
    for field, amounts in (("limits", requirements.limits), ("requests", requirements.requests)):
        for name, amount in amounts.items():
            if parse(amount) < 0:
                path = f"{base}.{field}{_format_key(name)}"
                yield path, f'Invalid value: "{amount}": must be greater than or equal to 0'
    for name, amount in requirements.requests.items():
        limit = requirements.limits.get(name)
        if limit is not None and parse(amount) > parse(limit):
            path = f"{base}.requests{_format_key(name)}"
            yield path, f'Invalid value: "{amount}": must be less than or equal to {name} limit of {limit}'


def _check_volume(volume: Volume, base: str) -> Findings:
    if problem := validate_label_1123(volume.name):
        yield f"{base}.name", f'Invalid value: "{volume.name}": {problem}'
    sources = sorted(to_manifest_name(source) for source in volume.model_fields_set - {"name"})
    if len(sources) > 1:
        yield base, f"Forbidden: may not specify more than 1 volume type (it has {', '.join(sources)})"
    if volume.host_path is not None and ".." in volume.host_path.path.split("/"):
        yield f"{base}.hostPath.path", f'Invalid value: "{volume.host_path.path}": must not contain ".."'


def _format_key(name: str) -> str:
    return f".{name}" if name.replace("-", "").isalnum() else f"[{name}]"
