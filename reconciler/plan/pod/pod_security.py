"""Security contexts: the container's merged over the pod's, as Kubernetes does."""

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
    """Returns the security context of one container.

    Raises:
        PlanError: it says both runAsNonRoot and user 0, or an id is out of range.
    """
    merged = {key: pod[key] for key in (*_SHARED, *_POD_ONLY) if pod.get(key) is not None} | dict(container)
    if merged.get("runAsNonRoot") and merged.get("runAsUser") == 0:
        raise PlanError(
            "A security context says both runAsNonRoot: true and runAsUser: 0, which is root.",
            path="spec.runtimeRef",
            remedy="Give another runAsUser, or leave runAsNonRoot out.",
        )
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        # The id may come from a patch: validation has checked the runtime's own already.
        if merged.get(key) is not None and not 0 <= merged[key] <= LARGEST_ID:
            raise PlanError(
                f"A security context has {key}: {merged[key]}, which is no id.",
                path="spec.runtimePatches",
                remedy=f"It must be between 0 and {LARGEST_ID}.",
            )
    capabilities = merged.get("capabilities") or {}
    return SecurityPlan(
        run_as_user=merged.get("runAsUser"),
        run_as_group=merged.get("runAsGroup"),
        run_as_non_root=merged.get("runAsNonRoot"),
        supplemental_groups=tuple(merged.get("supplementalGroups") or ()),
        fs_group=merged.get("fsGroup"),
        privileged=bool(merged.get("privileged")),
        allow_privilege_escalation=merged.get("allowPrivilegeEscalation"),
        read_only_root=bool(merged.get("readOnlyRootFilesystem")),
        cap_add=tuple(capabilities.get("add") or ()),
        cap_drop=tuple(capabilities.get("drop") or ()),
        seccomp=_profile(merged.get("seccompProfile")),
        apparmor=_profile(merged.get("appArmorProfile")),
        selinux=dict(merged.get("seLinuxOptions") or {}),
        sysctls={sysctl["name"]: sysctl["value"] for sysctl in merged.get("sysctls") or ()},
        proc_mount=merged.get("procMount") or "",
        raw=dict(merged),
    )


def _profile(profile: Mapping[str, Any] | None) -> str:
    """Returns "" for the engine's default profile, ``unconfined`` for none, else a profile of the host."""
    if not profile or profile.get("type") == "RuntimeDefault":
        return ""
    if profile.get("type") == "Unconfined":
        return "unconfined"
    return str(profile.get("localhostProfile") or "")
