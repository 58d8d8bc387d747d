"""What of a plan the policy refuses. Pure: paths have been looked at, and come as :class:`PathFacts`.

The verdict is over the plan, not over the manifest: runtime, patches and the job's own sections are merged
there, so nothing gets past by being written elsewhere. What it cannot see (a ``subPathExpr`` that names a
variable, a path that changes later) is judged again right before the mount is used, by
:func:`reconciler.plan.policy.host_mounts.rule_on_mount`; whom an image runs as, when the image is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.api.name_syntax import LARGEST_ID
from reconciler.api.quantities import cores, to_bytes
from reconciler.config.policy import (
    CONFINED_TYPES,
    DEFAULT_CAPABILITIES,
    SAFE_SYSCTLS,
    Policy,
    capability,
    matches,
    within,
)
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, SecurityPlan, VolumePlan
from reconciler.plan.policy.host_mounts import Grounds, PathFacts, Ruling, rule_on_mount
from reconciler.plan.policy.resource_demand import demand

DEFAULT_POLICY: Final = Policy()
REASON: Final = "PolicyViolation"

#: Where in a pod's specification something stands; items of lists by their names.
Field = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that the policy refuses.

    Attributes:
        rule: the policy's key, ``policy.hostPaths``.
        step: whose pod asks for it; "" for the job as a whole.
        field: where in the pod's specification.
        message: what is asked for and refused. ``remedy``: what to do in the manifest, or in the policy.
    """

    rule: str
    step: str
    field: Field
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message} ({self.rule}). {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class _Case:
    """What a plan is judged by."""

    policy: Policy
    grounds: Grounds
    facts: Mapping[tuple[str, str], PathFacts]


def host_paths(plan: JobPlan) -> frozenset[tuple[str, str]]:
    """Every hostPath of the plan with the sub-paths its mounts use; what has variables in it left out."""
    return frozenset(
        (volume.source, sub_path)
        for step in plan.steps
        for pod in step.pods
        for volume in pod.volumes
        if volume.kind == "host"
        for sub_path in {"", *_sub_paths(pod, volume)}
    )


def violations(
    plan: JobPlan, policy: Policy, grounds: Grounds, facts: Mapping[tuple[str, str], PathFacts]
) -> tuple[Violation, ...]:
    """Everything that the policy refuses of a plan.

    Args:
        plan: of the job.
        policy: in force.
        grounds: the host as the policy sees it.
        facts: of each of :func:`host_paths`.
    """
    case = _Case(policy=policy, grounds=grounds, facts=facts)
    found = list(_maximum(plan, policy))
    for step in plan.steps:
        # The pods of a step are alike: what differs by index is judged when it is used.
        for pod in step.pods[:1]:
            found += _pod(pod, policy)
            for volume in pod.volumes:
                found += _volume(plan, pod, volume, case)
            for container in pod.containers:
                found += _container(pod, container, policy)
    return tuple(dict.fromkeys(found))


def leaves_user_to_image(security: SecurityPlan, policy: Policy) -> bool:
    """Whether it has to be known whom the image names: root is refused, and nobody else is chosen."""
    return security.run_as_user is None and bool(security.run_as_non_root or not policy.users.root)


def images_in_doubt(plan: JobPlan, policy: Policy) -> frozenset[str]:
    """The images whose own user decides."""
    return frozenset(
        container.image
        for pod in plan.pods
        for container in pod.containers
        if leaves_user_to_image(container.security, policy)
    )


def image_violations(plan: JobPlan, policy: Policy, users: Mapping[str, str | None]) -> tuple[Violation, ...]:
    """Containers that would run as root because their image does.

    Args:
        plan: of the job.
        policy: in force.
        users: of each of :func:`images_in_doubt` whom it names; None for one that is not there yet.
    """
    found = []
    for step in plan.steps:
        for pod in step.pods[:1]:
            for container in pod.containers:
                user = users.get(container.image)
                if user is None or not leaves_user_to_image(container.security, policy):
                    continue
                if why := rootly(user):
                    found.append(_root_by_image(pod, container, why))
    return tuple(dict.fromkeys(found))


def rootly(user: str) -> str:
    """Why a user whom an image names is root, or may be; "" when it is somebody else for certain."""
    name = user.partition(":")[0]
    if name in {"", "root"}:
        return "runs as root"
    if not (name.isascii() and name.isdecimal() and int(name) <= LARGEST_ID):
        return f"runs as the user {name!r}, which may be root's name as far as anybody can tell"
    return "" if int(name) else "runs as root"


def rule_on_root(security: SecurityPlan) -> str:
    """What keeps a container from running as its image's root: its own wish, or the policy."""
    return "runAsNonRoot" if security.run_as_non_root else "policy.users.root"


def _root_by_image(pod: PodPlan, container: ContainerPlan, why: str) -> Violation:
    asked = bool(container.security.run_as_non_root)
    kind = "containers" if container.kind == "main" else "initContainers"
    return Violation(
        rule=rule_on_root(container.security),
        step=pod.step,
        field=(kind, container.container, "securityContext", "runAsNonRoot" if asked else "runAsUser"),
        message=f"the container {container.container} {why}, as its image {container.image} has it",
        remedy="Set runAsUser to another user's id, or use an image whose USER is a number above 0.",
    )


def read_only_mounts(
    plan: JobPlan, policy: Policy, grounds: Grounds, facts: Mapping[tuple[str, str], PathFacts]
) -> tuple[str, ...]:
    """What is mounted read-only although a manifest does not say so, in sentences."""
    case = _Case(policy=policy, grounds=grounds, facts=facts)
    said = []
    for step in plan.steps:
        for pod in step.pods[:1]:
            hosted = {v.name: v for v in pod.volumes if v.kind == "host"}
            for container in pod.containers:
                for mount in container.mounts:
                    volume = hosted.get(mount.volume)
                    if volume is None or mount.read_only or mount.expand:
                        continue
                    ruling = _ruling(volume, mount.sub_path, case, writes=True)
                    if ruling.refusal is None and ruling.read_only:
                        said.append(
                            f"The container {container.container} has {volume.source} read-only at "
                            f"{mount.path}: manifests, and what the policy gives as readOnly, are only read."
                        )
    return tuple(dict.fromkeys(said))


def _sub_paths(pod: PodPlan, volume: VolumePlan) -> set[str]:
    return {m.sub_path for c in pod.containers for m in c.mounts if m.volume == volume.name and not m.expand}


def _ruling(volume: VolumePlan, sub_path: str, case: _Case, *, writes: bool) -> Ruling:
    shown = f"{volume.source.rstrip('/')}/{sub_path}" if sub_path else volume.source
    whole, used = case.facts[volume.source, ""], case.facts[volume.source, sub_path]
    return rule_on_mount(whole, used, case.policy, case.grounds, shown=shown, writes=writes)


def _volume(
    plan: JobPlan,
    pod: PodPlan,
    volume: VolumePlan,
    case: _Case,
) -> Iterator[Violation]:
    step, at = pod.step, ("volumes", volume.name)
    if volume.kind == "named":
        # Only the default namespace has no prefix: there a claim can read as another namespace's.
        claim = volume.source
        if plan.namespace == "default" and "." in claim and not matches(claim, case.policy.claims):
            yield Violation(
                rule="policy.claims",
                step=step,
                field=(*at, "persistentVolumeClaim", "claimName"),
                message=f"the claim {claim} reads as one of the namespace {claim.split('.')[0]}",
                remedy="Give it a name without a dot, or add it to `claims` of the policy.",
            )
        return
    if volume.kind != "host":
        return
    mounts = [m for c in pod.containers for m in c.mounts if m.volume == volume.name and not m.expand]
    wanted = {(m.sub_path, not m.read_only) for m in mounts} or {("", False)}
    for sub_path, writes in sorted(wanted):
        ruling = _ruling(volume, sub_path, case, writes=writes)
        if ruling.refusal is not None:
            rule, message, remedy = ruling.refusal
            yield Violation(
                rule=rule, step=step, field=(*at, "hostPath", "path"), message=message, remedy=remedy
            )


def _pod(pod: PodPlan, policy: Policy) -> Iterator[Violation]:
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


def _container(pod: PodPlan, container: ContainerPlan, policy: Policy) -> Iterator[Violation]:
    kind = "containers" if container.kind == "main" else "initContainers"
    at = (kind, container.container)

    def refuse(rule: str, key: Field, message: str, remedy: str) -> Violation:
        return Violation(
            rule=f"policy.{rule}",
            step=pod.step,
            field=(*at, *key),
            message=f"the container {container.container} {message}",
            remedy=remedy,
        )

    for rule, message, remedy in _image(container.image, policy):
        yield refuse(rule, ("image",), message, remedy)
    for rule, key, message, remedy in (
        *_rights(container.security, policy),
        *_identity(container.security, policy),
        *_confinement(container.security, policy),
    ):
        yield refuse(rule, ("securityContext", *key), message, remedy)
    for name in container.resources.devices:
        if not matches(name, policy.devices):
            remedy = "Leave it out, or add the class to `devices` of the policy."
            yield refuse("devices", ("resources", "limits", name), f"asks for the device {name}", remedy)


def _image(image: str, policy: Policy) -> Iterator[tuple[str, str, str]]:
    wanted = policy.images
    name, _, digest = image.partition("@")
    if wanted.allow is not None and not matches(repository(name), wanted.allow):
        remedy = "Use one that is, or add a pattern to `images.allow` of the policy."
        allowed = ", ".join(wanted.allow) or "none"
        yield (
            "images.allow",
            f"has the image {image} ({repository(name)}), which is none of {allowed}",
            remedy,
        )
    if wanted.digest == "required" and not digest.startswith("sha256:"):
        remedy = "Write repository@sha256:..., as `podman image inspect` shows it under RepoDigests."
        yield "images.digest", f"has the image {image} without a digest", remedy


def repository(name: str) -> str:
    """``registry/repository`` of an image without digest: Docker Hub's where no registry is named."""
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    name = name[:colon] if colon > 0 else name
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if rest else f"docker.io/library/{name}"


_Refusal = tuple[str, Field, str, str]


def _rights(security: SecurityPlan, policy: Policy) -> Iterator[_Refusal]:
    if security.privileged and not policy.privileged:
        remedy = "Leave it out (a GPU does not need it), or set `privileged: true` in the policy."
        yield "privileged", ("privileged",), "asks to be privileged, which gives it the host", remedy
    if security.allow_privilege_escalation and not policy.privilege_escalation:
        remedy = "Leave it out, or set `privilegeEscalation: true` in the policy."
        yield "privilegeEscalation", ("allowPrivilegeEscalation",), "asks to gain privileges", remedy
    allowed = {*DEFAULT_CAPABILITIES, *policy.capabilities}
    more = sorted({capability(name) for name in security.cap_add} - allowed)
    if more and "ALL" not in policy.capabilities:
        remedy = "Leave them out, or add them to `capabilities` of the policy."
        names = ", ".join(more)
        yield "capabilities", ("capabilities", "add"), f"asks for the capabilities {names}", remedy


def _identity(security: SecurityPlan, policy: Policy) -> Iterator[_Refusal]:
    users = policy.users
    user = security.run_as_user
    # Where none is named it is the image's that counts: see :func:`image_violations`.
    if not users.root and user == 0:
        remedy = "Set runAsUser to another user's id."
        yield "users.root", ("runAsUser",), "runs as root", remedy
    if users.ranges is not None and not (user is not None and within(user, users.ranges)):
        asked = "names no user" if user is None else f"runs as the user {user}"
        ranges = ", ".join(users.ranges)
        yield (
            "users.ranges",
            ("runAsUser",),
            f"{asked}; it must be in {ranges}",
            f"Set runAsUser to {ranges}.",
        )
    if users.groups is None:
        return
    asked_for = (("runAsGroup", security.run_as_group), ("fsGroup", security.fs_group))
    groups = [(key, group) for key, group in asked_for if group is not None]
    groups += [("supplementalGroups", group) for group in security.supplemental_groups]
    for key, group in groups:
        if not within(group, users.groups):
            ranges = ", ".join(users.groups)
            yield "users.groups", (key,), f"asks for the group {group}; it must be in {ranges}", "Correct it."


def _confinement(security: SecurityPlan, policy: Policy) -> Iterator[_Refusal]:
    off = "Leave it out, or set `unconfined: true` in the policy."
    for key, profile in (("seccompProfile", security.seccomp), ("appArmorProfile", security.apparmor)):
        if profile == "unconfined":
            if not policy.unconfined:
                yield "unconfined", (key,), f"switches its {key} off", off
        elif profile and not matches(profile, policy.profiles):
            remedy = "Use the type RuntimeDefault, or add it to `profiles` of the policy."
            yield "profiles", (key,), f"asks for the host's profile {profile}", remedy
    selinux = security.selinux
    special = (
        any(selinux.get(key) for key in ("user", "role")) or selinux.get("type", "") not in CONFINED_TYPES
    )
    if special and not policy.unconfined:
        yield "unconfined", ("seLinuxOptions",), "asks for an SELinux label that confines it less", off
    if security.proc_mount == "Unmasked" and not policy.unconfined:
        yield "unconfined", ("procMount",), "asks to see all of /proc", off
    for name in security.sysctls:
        if name not in SAFE_SYSCTLS and not matches(name, policy.sysctls):
            remedy = "Leave it out, or add it to `sysctls` of the policy."
            yield "sysctls", ("sysctls",), f"sets the kernel parameter {name}", remedy


def _maximum(plan: JobPlan, policy: Policy) -> Iterator[Violation]:
    most = policy.maximum

    def refuse(rule: str, message: str) -> Violation:
        remedy = "Ask for less, or raise it in the policy."
        return Violation(rule=f"policy.maximum.{rule}", step="", field=(), message=message, remedy=remedy)

    pods = len(plan.pods)
    if most.nodes is not None and pods > most.nodes:
        yield refuse("nodes", f"the job has {pods} pods, at most {most.nodes} are allowed")
    asked = demand(plan)
    if most.gpus is not None and asked.devices > most.gpus:
        yield refuse("gpus", f"the job asks for {asked.devices} devices, at most {most.gpus} are allowed")
    limits = (
        ("cpu", None if most.cpu is None else cores(most.cpu), asked.cpu, "CPUs"),
        ("memory", None if most.memory is None else float(to_bytes(most.memory)), asked.memory, "bytes"),
    )
    for rule, allowed, wanted, unit in limits:
        if allowed is None:
            continue
        if wanted is None:
            yield refuse(rule, f"a container has no limit for {rule}, and the policy has a maximum")
        elif wanted > allowed:
            yield refuse(rule, f"the job's limits come to {wanted:g} {unit}, at most {allowed:g} are allowed")
