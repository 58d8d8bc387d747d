"""Security contexts: the container's laid over the pod's, as Kubernetes does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.api.name_syntax import LARGEST_ID
from reconciler.errors import PlanError
from reconciler.plan.job_plan import SecurityPlan

#: Fields that the pod's context has too.
_SHARED: Final = (
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxOptions",
)
_POD_ONLY: Final = ("fsGroup", "supplementalGroups", "sysctls")


def plan_security(container: Mapping[str, Any], pod: Mapping[str, Any]) -> SecurityPlan:
    """What one container runs with.

    Raises:
        PlanError: it must not run as root, and is told to; a number is no id.
    """
    both = {key: pod[key] for key in (*_SHARED, *_POD_ONLY) if pod.get(key) is not None} | dict(container)
    if both.get("runAsNonRoot") and both.get("runAsUser") == 0:
        raise PlanError(
            "A security context says both runAsNonRoot: true and runAsUser: 0, which is root.",
            path="spec.runtimeRef",
            remedy="Give another runAsUser, or leave runAsNonRoot out.",
        )
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        # A patch may have brought it: the runtime's own are looked at before.
        if both.get(key) is not None and not 0 <= both[key] <= LARGEST_ID:
            raise PlanError(
                f"A security context has {key}: {both[key]}, which is no id.",
                path="spec.runtimePatches",
                remedy=f"It must be between 0 and {LARGEST_ID}.",
            )
    capabilities = both.get("capabilities") or {}
    return SecurityPlan(
        run_as_user=both.get("runAsUser"),
        run_as_group=both.get("runAsGroup"),
        run_as_non_root=both.get("runAsNonRoot"),
        supplemental_groups=tuple(both.get("supplementalGroups") or ()),
        fs_group=both.get("fsGroup"),
        privileged=bool(both.get("privileged")),
        allow_privilege_escalation=both.get("allowPrivilegeEscalation"),
        read_only_root=bool(both.get("readOnlyRootFilesystem")),
        cap_add=tuple(capabilities.get("add") or ()),
        cap_drop=tuple(capabilities.get("drop") or ()),
        seccomp=_profile(both.get("seccompProfile")),
        apparmor=_profile(both.get("appArmorProfile")),
        selinux=dict(both.get("seLinuxOptions") or {}),
        sysctls={sysctl["name"]: sysctl["value"] for sysctl in both.get("sysctls") or ()},
        proc_mount=both.get("procMount") or "",
        raw=dict(both),
    )


def _profile(profile: Mapping[str, Any] | None) -> str:
    """``""`` is the engine's default profile, ``unconfined`` none, anything else the host's profile."""
    if not profile or profile.get("type") == "RuntimeDefault":
        return ""
    if profile.get("type") == "Unconfined":
        return "unconfined"
    return str(profile.get("localhostProfile") or "")
