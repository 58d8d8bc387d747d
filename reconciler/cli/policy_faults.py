"""What the policy refuses of manifests, as faults at the lines that ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.plan.policy.field_locations import locate_field
from reconciler.plan.policy.violations import POLICY_VIOLATION, Violation

if TYPE_CHECKING:
    from reconciler.api import Fault
    from reconciler.cli.manifest_plans import PlannedJob
    from reconciler.config.settings import Settings


def check_policy(
    planned: Sequence[PlannedJob],
    settings: Settings,
    paths: Sequence[str],
    *,
    severity: Literal["error", "warning"] = "error",
) -> list[Fault]:
    """Returns a fault for each violation of the policy.

    Args:
        planned: jobs with their plans.
        settings: in force; host paths within the folder of manifests are judged by where that folder is.
        paths: where the manifests are, for when the settings' folder does not exist.
        severity: of the faults.
    """
    if not settings.specs.is_dir():
        first = next((Path(path) for path in paths if path != "-"), Path())
        settings = replace(settings, specs=first if first.is_dir() else first.parent)
    enforcer = PolicyEnforcer(settings, socket=settings.container_host or "")
    return [
        replace(_fault(violation, job), severity=severity)
        for job in planned
        for violation in enforcer.violations(job.plan)
    ]


def _fault(violation: Violation, planned: PlannedJob) -> Fault:
    job, runtime = planned.job, planned.runtime
    location = locate_field(violation.step, violation.field, job=job.raw, runtime=runtime.raw)
    in_job = location.document == "job"
    document, path, note = job, location.path, ""
    if not in_job and Path(runtime.file).exists():
        document, note = runtime, f" (asked for by {job.object})"
    elif not in_job:
        # Nobody would look into the file of a built-in runtime.
        path, note = "spec.runtimeRef", f" ({location.path} of the runtime {runtime.name})"
    fault = document.error(path, f"{POLICY_VIOLATION}: {violation}{note}", reason=POLICY_VIOLATION)
    return replace(fault, object=job.object)
