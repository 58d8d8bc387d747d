"""Containers that run as the user their image names: whether that is root, where root is refused. Pure.

What can go wrong: an image names its user by a name, and only the image knows whose id that is; such a name
counts as root's.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.api.name_syntax import LARGEST_ID
from reconciler.config.policy import Policy
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, SecurityPlan
from reconciler.plan.policy.violations import Violation, container_field


def needs_image_user(security: SecurityPlan, policy: Policy) -> bool:
    """Whether the image's user must be known: root is refused, and the manifest names no user."""
    return security.run_as_user is None and bool(security.run_as_non_root or not policy.users.root)


def images_to_inspect(plan: JobPlan, policy: Policy) -> frozenset[str]:
    """Returns the images whose user must be known."""
    return frozenset(
        container.image
        for pod in plan.pods
        for container in pod.containers
        if needs_image_user(container.security, policy)
    )


def find_image_violations(
    plan: JobPlan, policy: Policy, users: Mapping[str, str | None]
) -> tuple[Violation, ...]:
    """Returns the containers that would run as root because their image does.

    Args:
        plan: of the job.
        policy: in force.
        users: the user of each of :func:`images_to_inspect`; None for an image that is not there yet.
    """
    found = []
    for step in plan.steps:
        for pod in step.pods[:1]:
            for container in pod.containers:
                user = users.get(container.image)
                if user is None or not needs_image_user(container.security, policy):
                    continue
                if reason := explain_root(user):
                    found.append(_violation(pod, container, reason))
    return tuple(dict.fromkeys(found))


def explain_root(user: str) -> str:
    """Returns why the user that an image names is root, or may be; "" when it is certainly another."""
    name = user.partition(":")[0]
    if name in {"", "root"}:
        return "runs as root"
    if not (name.isascii() and name.isdecimal() and int(name) <= LARGEST_ID):
        return f"runs as the user {name!r}, which may be root's name as far as anybody can tell"
    return "" if int(name) else "runs as root"


def root_rule(security: SecurityPlan) -> str:
    """Returns the rule that keeps a container from running as root: its own field, or the policy's."""
    return "runAsNonRoot" if security.run_as_non_root else "policy.users.root"


def _violation(pod: PodPlan, container: ContainerPlan, reason: str) -> Violation:
    field = "runAsNonRoot" if container.security.run_as_non_root else "runAsUser"
    return Violation(
        rule=root_rule(container.security),
        step=pod.step,
        field=(*container_field(container), "securityContext", field),
        message=f"the container {container.container} {reason}, as its image {container.image} has it",
        remedy="Set runAsUser to another user's id, or use an image whose USER is a number above 0.",
    )
