"""Builds the security options of a container for the engine: user, groups, capabilities. Pure."""

from __future__ import annotations

from reconciler.config.policy import normalize_capability
from reconciler.engines.specs import Security
from reconciler.plan.job_plan import PodPlan, SecurityPlan, VolumePlan

#: Of the engines' default capabilities, those that no container gets unless it asks for them: raw packets
#: (forged addresses in the job's network), device nodes, the kernel's audit log, changing one's own
#: capabilities.
DROPPED_CAPABILITIES = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SETPCAP")


def build_security(plan: SecurityPlan) -> Security:
    """The engine's security options of one container."""
    user = "" if plan.run_as_user is None else str(plan.run_as_user)
    if plan.run_as_group is not None:
        # Without a user it is the image's user in this group, known once the image is present.
        user = f"{user}:{plan.run_as_group}"
    groups = list(plan.supplemental_groups)
    if plan.fs_group is not None and plan.fs_group not in groups:
        groups.append(plan.fs_group)
    return Security(
        user=user,
        groups=tuple(str(g) for g in groups),
        privileged=plan.privileged,
        no_new_privileges=not plan.privileged and plan.allow_privilege_escalation is not True,
        read_only_root=plan.read_only_root,
        cap_add=plan.cap_add,
        cap_drop=_dropped_capabilities(plan),
        seccomp=plan.seccomp,
        apparmor=plan.apparmor,
        selinux=plan.selinux,
        sysctls=plan.sysctls,
    )


def host_user(pod: PodPlan) -> tuple[int, int] | None:
    """The user and group of the containers that map to the engine's user on the host: the primary's.

    For what the user writes into the host's folders, and reads of private files (keys, Secrets). One for the
    whole pod, as its containers share a network. Root needs none: where engines map users at all, root in the
    container is the engine's user.
    """
    security = pod.primary.security
    if not security.run_as_user or pod.host_network or pod.host_pid or pod.host_ipc:
        return None
    if not any(volume.kind == "host" or _has_private_files(volume) for volume in pod.volumes):
        return None
    group = security.run_as_group
    return security.run_as_user, security.run_as_user if group is None else group


def _has_private_files(volume: VolumePlan) -> bool:
    """Whether the volume has files written by the daemon that others may not read."""
    modes = [volume.default_mode if file.mode is None else file.mode for file in volume.files]
    modes += [volume.default_mode] if volume.all_keys_of else []
    return volume.kind == "files" and any(not mode & 0o004 for mode in modes)


def _dropped_capabilities(plan: SecurityPlan) -> tuple[str, ...]:
    """What the manifest drops, and what no training needs, unless the manifest adds it."""
    added = {normalize_capability(name) for name in plan.cap_add}
    dropped = [normalize_capability(name) for name in plan.cap_drop]
    if plan.privileged or "ALL" in added or "ALL" in dropped:
        return tuple(dropped)
    return tuple(dict.fromkeys((*dropped, *(name for name in DROPPED_CAPABILITIES if name not in added))))
