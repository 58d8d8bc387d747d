"""What the policy refuses of a container: image, privileges, user, confinement, devices. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.config.policy import (
    CONFINED_SELINUX_TYPES,
    DEFAULT_CAPABILITIES,
    SAFE_SYSCTLS,
    Policy,
    is_in_ranges,
    matches_any,
    normalize_capability,
)
from reconciler.plan.job_plan import ContainerPlan, SecurityPlan

#: The policy's key, the field within the container, what the container does, and a remedy.
ContainerDenial = tuple[str, tuple[str, ...], str, str]


def check_container(container: ContainerPlan, policy: Policy) -> Iterator[ContainerDenial]:
    """Yields everything that the policy refuses of a container, by what its plan says."""
    for rule, message, remedy in _check_image(container.image, policy):
        yield rule, ("image",), message, remedy
    for rule, field, message, remedy in (
        *_check_privileges(container.security, policy),
        *_check_identity(container.security, policy),
        *_check_confinement(container.security, policy),
    ):
        yield rule, ("securityContext", *field), message, remedy
    for name in container.resources.devices:
        if not matches_any(name, policy.devices):
            remedy = "Leave it out, or add the class to `devices` of the policy."
            yield "devices", ("resources", "limits", name), f"asks for the device {name}", remedy


def _check_image(image: str, policy: Policy) -> Iterator[tuple[str, str, str]]:
    rules = policy.images
    name, _, digest = image.partition("@")
    repository = image_repository(name)
    if rules.allow is not None and not matches_any(repository, rules.allow):
        message = f"has the image {image} ({repository}), which is none of {', '.join(rules.allow) or 'none'}"
        yield "images.allow", message, "Use one that is, or add a pattern to `images.allow` of the policy."
    if rules.digest == "required" and not digest.startswith("sha256:"):
        remedy = "Write repository@sha256:..., as `podman image inspect` shows it under RepoDigests."
        yield "images.digest", f"has the image {image} without a digest", remedy


def image_repository(name: str) -> str:
    """Returns ``registry/repository`` of an image without digest: Docker Hub's where it names no registry."""
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    name = name[:colon] if colon > 0 else name
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if rest else f"docker.io/library/{name}"


def _check_privileges(security: SecurityPlan, policy: Policy) -> Iterator[ContainerDenial]:
    if security.privileged and not policy.privileged:
        remedy = "Leave it out (a GPU does not need it), or set `privileged: true` in the policy."
        yield "privileged", ("privileged",), "asks to be privileged, which gives it the host", remedy
    if security.allow_privilege_escalation and not policy.privilege_escalation:
        remedy = "Leave it out, or set `privilegeEscalation: true` in the policy."
        yield "privilegeEscalation", ("allowPrivilegeEscalation",), "asks to gain privileges", remedy
    allowed = {*DEFAULT_CAPABILITIES, *policy.capabilities}
    more = sorted({normalize_capability(name) for name in security.cap_add} - allowed)
    if more and "ALL" not in policy.capabilities:
        message = f"asks for the capabilities {', '.join(more)}"
        remedy = "Leave them out, or add them to `capabilities` of the policy."
        yield "capabilities", ("capabilities", "add"), message, remedy


def _check_identity(security: SecurityPlan, policy: Policy) -> Iterator[ContainerDenial]:
    """Checks users and groups; where the plan names no user, :mod:`.image_users` checks the image's."""
    users, user = policy.users, security.run_as_user
    if not users.root and user == 0:
        yield "users.root", ("runAsUser",), "runs as root", "Set runAsUser to another user's id."
    if users.ranges is not None and (user is None or not is_in_ranges(user, users.ranges)):
        who = "names no user" if user is None else f"runs as the user {user}"
        ranges = ", ".join(users.ranges)
        message, remedy = f"{who}; it must be in {ranges}", f"Set runAsUser to {ranges}."
        yield "users.ranges", ("runAsUser",), message, remedy
    if users.groups is None:
        return
    groups = [("runAsGroup", security.run_as_group), ("fsGroup", security.fs_group)]
    groups += [("supplementalGroups", group) for group in security.supplemental_groups]
    for field, group in groups:
        if group is not None and not is_in_ranges(group, users.groups):
            message = f"asks for the group {group}; it must be in {', '.join(users.groups)}"
            yield "users.groups", (field,), message, "Correct it."


def _check_confinement(security: SecurityPlan, policy: Policy) -> Iterator[ContainerDenial]:
    remedy_off = "Leave it out, or set `unconfined: true` in the policy."
    for field, profile in (("seccompProfile", security.seccomp), ("appArmorProfile", security.apparmor)):
        if profile == "unconfined":
            if not policy.unconfined:
                yield "unconfined", (field,), f"switches its {field} off", remedy_off
        elif profile and not matches_any(profile, policy.profiles):
            remedy = "Use the type RuntimeDefault, or add it to `profiles` of the policy."
            yield "profiles", (field,), f"asks for the host's profile {profile}", remedy
    selinux = security.selinux
    less_confined = (
        any(selinux.get(key) for key in ("user", "role"))
        or selinux.get("type", "") not in CONFINED_SELINUX_TYPES
    )
    if less_confined and not policy.unconfined:
        message = "asks for an SELinux label that confines it less"
        yield "unconfined", ("seLinuxOptions",), message, remedy_off
    if security.proc_mount == "Unmasked" and not policy.unconfined:
        yield "unconfined", ("procMount",), "asks to see all of /proc", remedy_off
    for name in security.sysctls:
        if name not in SAFE_SYSCTLS and not matches_any(name, policy.sysctls):
            remedy = "Leave it out, or add it to `sysctls` of the policy."
            yield "sysctls", ("sysctls",), f"sets the kernel parameter {name}", remedy
