"""What the policy refuses of a plan. Pure: what is at the host's paths comes in as :class:`PathInfo`.

The plan is checked, not the manifest: runtime, patches and the job's own sections are merged in it, so
nothing gets past by being written elsewhere. What it cannot show (a ``subPathExpr`` with a variable, a path
that changes later) is checked again right before the mount is used, by
:func:`reconciler.plan.policy.host_mounts.check_mount`; the user of an image by :mod:`.image_users`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.api.quantities import to_float, to_int
from reconciler.config.policy import Policy, matches_any
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, VolumePlan
from reconciler.plan.policy.container_rules import check_container
from reconciler.plan.policy.host_mounts import HostPaths, MountDecision, PathInfo, check_mount

DEFAULT_POLICY: Final = Policy()
#: Reason of conditions, events and faults.
POLICY_VIOLATION: Final = "PolicyViolation"

#: A field within a pod's specification; items of lists by their names.
Field = tuple[str, ...]
#: What a container asks for of one resource; None without a limit.
_Limit = Callable[[ContainerPlan], float | None]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that the policy refuses.

    Attributes:
        rule: the policy's key, ``policy.hostPaths``.
        step: the step whose pod asks for it; "" for the job as a whole.
        field: within the pod's specification.
        message: what is refused. ``remedy``: what to do in the manifest or in the policy.
    """

    rule: str
    step: str
    field: Field
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message} ({self.rule}). {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class _Host:
    """What mounts are checked against; ``paths``: of each of :func:`host_path_mounts`."""

    policy: Policy
    host: HostPaths
    paths: Mapping[tuple[str, str], PathInfo]

    def check(self, volume: VolumePlan, sub_path: str, *, writable: bool) -> MountDecision:
        return check_mount(
            self.paths[volume.source, ""],
            self.paths[volume.source, sub_path],
            self.policy,
            self.host,
            manifest_path=f"{volume.source.rstrip('/')}/{sub_path}" if sub_path else volume.source,
            writable=writable,
        )


def host_path_mounts(plan: JobPlan) -> frozenset[tuple[str, str]]:
    """Returns each hostPath of the plan with each sub-path that is mounted, except those with variables."""
    return frozenset(
        (volume.source, sub_path)
        for pod in plan.pods
        for volume in pod.volumes
        if volume.kind == "host"
        for sub_path in {"", *(sub_path for sub_path, _ in _mounted_parts(pod, volume))}
    )


def find_violations(
    plan: JobPlan, policy: Policy, host: HostPaths, paths: Mapping[tuple[str, str], PathInfo]
) -> tuple[Violation, ...]:
    """Returns everything that the policy refuses of a plan.

    Args:
        plan: of the job.
        policy: in force.
        host: the host's paths that matter to the policy.
        paths: of each of :func:`host_path_mounts`.
    """
    found = (*find_text_violations(plan, policy), *find_host_path_violations(plan, policy, host, paths))
    return tuple(dict.fromkeys(found))


def find_host_path_violations(
    plan: JobPlan, policy: Policy, host: HostPaths, paths: Mapping[tuple[str, str], PathInfo]
) -> tuple[Violation, ...]:
    """Returns what the policy refuses of a plan's hostPaths; arguments as of :func:`find_violations`."""
    mounts = _Host(policy=policy, host=host, paths=paths)
    found = (
        violation
        for step in plan.steps
        for pod in step.pods[:1]
        for volume in pod.volumes
        if volume.kind == "host"
        for violation in _check_host_path(pod, volume, mounts)
    )
    return tuple(dict.fromkeys(found))


def find_text_violations(plan: JobPlan, policy: Policy) -> tuple[Violation, ...]:
    """Returns what the policy refuses of a plan whatever the host is like.

    Where it allows no path of the host at all, that is every hostPath.
    """
    found = list(_check_maximum(plan, policy))
    for step in plan.steps:
        # The pods of a step are alike; what differs by index is checked when it is used.
        for pod in step.pods[:1]:
            found += _check_pod(pod, policy)
            for volume in pod.volumes:
                if volume.kind == "named":
                    found += _check_claim(plan, pod, volume, policy)
                elif volume.kind == "host" and not _allows_some_path(policy):
                    found.append(_refuse_host_path(pod, volume))
            for container in pod.containers:
                found += _check_container(pod, container, policy)
    return tuple(dict.fromkeys(found))


def describe_read_only_mounts(
    plan: JobPlan, policy: Policy, host: HostPaths, paths: Mapping[tuple[str, str], PathInfo]
) -> tuple[str, ...]:
    """Returns a sentence for each mount that is read-only although the manifest does not say so."""
    mounts = _Host(policy=policy, host=host, paths=paths)
    sentences = []
    for step in plan.steps:
        for pod in step.pods[:1]:
            volumes = {v.name: v for v in pod.volumes if v.kind == "host"}
            for container in pod.containers:
                for mount in container.mounts:
                    volume = volumes.get(mount.volume)
                    if volume is None or mount.read_only or mount.expand:
                        continue
                    decision = mounts.check(volume, mount.sub_path, writable=True)
                    if decision.denial is None and decision.read_only:
                        sentences.append(
                            f"The container {container.container} has {volume.source} read-only at "
                            f"{mount.path}: manifests, and what the policy gives as readOnly, are only read."
                        )
    return tuple(dict.fromkeys(sentences))


def _mounted_parts(pod: PodPlan, volume: VolumePlan) -> set[tuple[str, bool]]:
    """Returns the sub-path and writability of each mount of a volume, except those with variables."""
    return {
        (mount.sub_path, not mount.read_only)
        for container in pod.containers
        for mount in container.mounts
        if mount.volume == volume.name and not mount.expand
    }


def _check_claim(plan: JobPlan, pod: PodPlan, volume: VolumePlan, policy: Policy) -> Iterator[Violation]:
    # Names of the default namespace have no prefix: there a claim with a dot can be another namespace's.
    claim = volume.source
    if plan.namespace == "default" and "." in claim and not matches_any(claim, policy.claims):
        yield Violation(
            rule="policy.claims",
            step=pod.step,
            field=("volumes", volume.name, "persistentVolumeClaim", "claimName"),
            message=f"the claim {claim} reads as one of the namespace {claim.split('.')[0]}",
            remedy="Give it a name without a dot, or add it to `claims` of the policy.",
        )


def _check_host_path(pod: PodPlan, volume: VolumePlan, mounts: _Host) -> Iterator[Violation]:
    field = ("volumes", volume.name, "hostPath", "path")
    for sub_path, writable in sorted(_mounted_parts(pod, volume) or {("", False)}):
        denial = mounts.check(volume, sub_path, writable=writable).denial
        if denial is not None:
            yield Violation(
                rule=denial.rule, step=pod.step, field=field, message=denial.message, remedy=denial.remedy
            )


def _allows_some_path(policy: Policy) -> bool:
    return bool(policy.workspace or policy.host_paths or policy.device_nodes)


def _refuse_host_path(pod: PodPlan, volume: VolumePlan) -> Violation:
    return Violation(
        rule="policy.hostPaths",
        step=pod.step,
        field=("volumes", volume.name, "hostPath", "path"),
        message=f"{volume.source} is outside of what may be mounted: the policy allows no path",
        remedy="Leave it out, or add it to `hostPaths` of the policy.",
    )


def _check_pod(pod: PodPlan, policy: Policy) -> Iterator[Violation]:
    shared = (
        ("hostNetwork", pod.host_network, policy.host_network, "network"),
        ("hostPID", pod.host_pid, policy.host_pid, "processes"),
        ("hostIPC", pod.host_ipc, policy.host_ipc, "shared memory"),
    )
    for key, asked, allowed, what in shared:
        if asked and not allowed:
            yield Violation(
                rule=f"policy.{key}",
                step=pod.step,
                field=(key,),
                message=f"the pod asks for the host's {what}",
                remedy=f"Leave {key} out, or set `{key}: true` in the policy.",
            )


def _check_container(pod: PodPlan, container: ContainerPlan, policy: Policy) -> Iterator[Violation]:
    for rule, field, message, remedy in check_container(container, policy):
        yield Violation(
            rule=f"policy.{rule}",
            step=pod.step,
            field=(*container_field(container), *field),
            message=f"the container {container.container} {message}",
            remedy=remedy,
        )


def container_field(container: ContainerPlan) -> Field:
    """Returns the field of a container."""
    return ("containers" if container.kind == "main" else "initContainers", container.container)


def _check_maximum(plan: JobPlan, policy: Policy) -> Iterator[Violation]:
    maximum = policy.maximum

    def violation(rule: str, message: str) -> Violation:
        remedy = "Ask for less, or raise it in the policy."
        return Violation(rule=f"policy.maximum.{rule}", step="", field=(), message=message, remedy=remedy)

    pods = len(plan.pods)
    if maximum.nodes is not None and pods > maximum.nodes:
        yield violation("nodes", f"the job has {pods} pods, at most {maximum.nodes} are allowed")
    # A job can have thousands of pods: sums are only made where there is something to compare them with.
    if maximum.gpus is not None:
        devices = int(_total_limit(plan, lambda c: sum(c.resources.devices.values())) or 0)
        if devices > maximum.gpus:
            yield violation("gpus", f"the job asks for {devices} devices, at most {maximum.gpus} are allowed")
    limits: tuple[tuple[str, str | None, _Limit, str], ...] = (
        ("cpu", maximum.cpu, lambda c: c.resources.cpu_limit, "CPUs"),
        ("memory", maximum.memory, lambda c: c.resources.memory_limit, "bytes"),
    )
    for rule, quantity, limit, unit in limits:
        if quantity is None:
            continue
        asked = _total_limit(plan, limit)
        allowed = to_float(quantity) if rule == "cpu" else to_int(quantity)
        if asked is None:
            yield violation(rule, f"a container has no limit for {rule}, and the policy has a maximum")
        elif asked > allowed:
            message = f"the job's limits come to {asked:g} {unit}, at most {allowed:g} are allowed"
            yield violation(rule, message)


def _total_limit(plan: JobPlan, limit: _Limit) -> float | None:
    """Adds up a limit of the job's pods; None where a container has none.

    Of a pod's init containers, which run alone, the largest counts.
    """
    if any(limit(container) is None for pod in plan.pods for container in pod.containers):
        return None
    return sum((pod.total(lambda container: limit(container) or 0.0) for pod in plan.pods), 0.0)
