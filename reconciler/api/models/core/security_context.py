"""Users, groups and privileges of pods and containers."""

from __future__ import annotations

from reconciler.api.models.base import Flag, Int64, Model


class AppArmorProfile(Model):
    """An AppArmor profile by type."""

    type: str
    localhost_profile: str | None = None


class Capabilities(Model):
    """Linux capabilities added and dropped."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SELinuxOptions(Model):
    """An SELinux label."""

    level: str | None = None
    role: str | None = None
    type: str | None = None
    user: str | None = None


class SeccompProfile(Model):
    """A seccomp profile by type."""

    type: str
    localhost_profile: str | None = None


class WindowsSecurityContextOptions(Model):
    """Options of Windows hosts; no effect here."""

    gmsa_credential_spec: str | None = None
    gmsa_credential_spec_name: str | None = None
    host_process: Flag | None = None
    run_as_user_name: str | None = None


class SecurityContext(Model):
    """Identity and privileges of a container; they override the pod's."""

    allow_privilege_escalation: Flag | None = None
    app_armor_profile: AppArmorProfile | None = None
    capabilities: Capabilities | None = None
    privileged: Flag | None = None
    proc_mount: str | None = None
    read_only_root_filesystem: Flag | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: Flag | None = None
    run_as_user: Int64 | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    windows_options: WindowsSecurityContextOptions | None = None


class Sysctl(Model):
    """A kernel parameter of the pod."""

    name: str
    value: str


class PodSecurityContext(Model):
    """Identity and privileges of a pod's containers."""

    app_armor_profile: AppArmorProfile | None = None
    fs_group: Int64 | None = None
    fs_group_change_policy: str | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: Flag | None = None
    run_as_user: Int64 | None = None
    se_linux_change_policy: str | None = None
    se_linux_options: SELinuxOptions | None = None
    seccomp_profile: SeccompProfile | None = None
    supplemental_groups: tuple[Int64, ...] = ()
    supplemental_groups_policy: str | None = None
    sysctls: tuple[Sysctl, ...] = ()
    windows_options: WindowsSecurityContextOptions | None = None
