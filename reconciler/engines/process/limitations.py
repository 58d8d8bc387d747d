"""What the process engine does not keep of a container's specification, each in a sentence."""

from __future__ import annotations

import math
import os
import pwd
from pathlib import Path

from reconciler.engines.process.host_facts import HostFeatures
from reconciler.engines.process.supervisor.process_identity import LINUX
from reconciler.engines.process.volume_layout import find_rewritten
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.plan import progress_reporting


def list_limitations(spec: ContainerSpec, *, home: Path, features: HostFeatures) -> list[str]:
    """Returns a sentence for each part of the specification that has no effect here.

    Args:
        spec: of the container.
        home: the container's folder, which need not exist yet.
        features: of this machine.
    """
    security, can_mount, controllers = spec.security, features.can_mount, features.controllers
    # The folder of the progress token is in every node, and known by a variable: rewriting it loses nothing.
    rewritten = [
        m
        for m in find_rewritten(spec, home=home, can_mount=can_mount)
        if m.target != progress_reporting.MOUNT_PATH
    ]
    bound = spec.cpu_limit is not None and "cpu" not in controllers
    checks = (
        (True, f"The image {spec.image} is not used: the command runs with the programs of this machine."),
        (spec.memory_limit is not None and "memory" not in controllers, "The memory limit is not enforced."),
        (
            bound and LINUX and spec.cpu_limit != math.ceil(spec.cpu_limit or 0),
            f"The CPU limit is rounded up to whole CPUs ({math.ceil(spec.cpu_limit or 0)}).",
        ),
        (bound and not LINUX, "The CPU limit is not enforced."),
        (bool(security.user) and not _can_run_as(security.user), f"The user {security.user} is not applied."),
        (
            bool(
                security.cap_add
                or security.cap_drop
                or security.seccomp
                or security.apparmor
                or security.selinux
            ),
            "Capabilities, seccomp, AppArmor and SELinux options are not applied.",
        ),
        (bool(security.sysctls), "Kernel parameters (sysctls) are not set."),
        (security.privileged, "The container is not privileged: it has the daemon's own rights."),
        (security.read_only_root, "The root file system is not read-only."),
        (
            bool(spec.share_pid_with) and not spec.host_pid,
            "There is no process namespace of its own to share: it sees all processes of this machine.",
        ),
        (spec.tty or spec.stdin, "There is no terminal and no standard input."),
        (
            bool(spec.hosts) and not can_mount,
            "Host names of other nodes do not resolve: use addresses (MASTER_ADDR is one).",
        ),
        (
            bool(spec.dns_servers or spec.dns_searches or spec.dns_options) and not can_mount,
            "DNS options are not applied.",
        ),
        (bool(rewritten), _describe_rewritten(rewritten)),
        (any(m.read_only for m in rewritten), "Those of them that are read-only can be written to."),
    )
    return [sentence for applies, sentence in checks if applies]


def _describe_rewritten(mounts: list[Mount]) -> str:
    paths = ", ".join(m.target for m in mounts)
    return (
        f"Volumes are not mounted ({paths}): their paths are replaced in command, arguments and environment."
    )


def _can_run_as(user: str) -> bool:
    return os.geteuid() == 0 or user.partition(":")[0] in {
        str(os.geteuid()),
        pwd.getpwuid(os.geteuid()).pw_name,
    }
