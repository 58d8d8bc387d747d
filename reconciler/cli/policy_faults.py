"""What the policy in force would refuse of manifests, for ``validate`` and ``plan``, as faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from reconciler.api import Document, Fault
    from reconciler.config.settings import Settings
    from reconciler.plan.job_plan import JobPlan


def settings_for(settings: Settings, paths: Sequence[str]) -> Settings:
    """The settings with the folder that the manifests are in, where it is not that of the settings."""
    if settings.specs.is_dir():
        return settings
    first = next((Path(path) for path in paths if path != "-"), Path())
    return replace(settings, specs=first if first.is_dir() else first.parent)


def policy_faults(
    plans: Sequence[tuple[Document, Document, JobPlan]],
    settings: Settings,
    *,
    severity: Literal["error", "warning"] = "error",
) -> list[Fault]:
    """Every violation, at the line that asks for it.

    Args:
        plans: TrainJob, runtime, and what they become.
        settings: in force.
        severity: of the faults.
    """
    from reconciler.controller.enforcement.enforcer import Guard  # noqa: PLC0415  (not for --help)

    guard = Guard(settings, socket=settings.container_host or "")
    faults: list[Fault] = []
    for document, runtime, plan in plans:
        faults += _of_job(guard, document, runtime, plan, severity)
    return faults


def _of_job(
    guard: Any, document: Document, runtime: Document, plan: JobPlan, severity: Literal["error", "warning"]
) -> Iterator[Fault]:
    from reconciler.api import Fault  # noqa: PLC0415
    from reconciler.plan.field_locations import origin_of  # noqa: PLC0415
    from reconciler.plan.policy.violations import REASON  # noqa: PLC0415

    for violation in guard.violations(plan):
        origin = origin_of(violation.step, violation.field, job=document.raw, runtime=runtime.raw)
        place = document if origin.document == "job" else runtime
        whose = "" if place is document else f" (asked for by {document.object})"
        # A built-in runtime is no file that anybody would look into.
        if not Path(place.file).exists():
            place, whose = document, f" ({origin.path} of the runtime {runtime.name})"
        path = origin.path if place.raw is (document.raw if origin.document == "job" else runtime.raw) else ""
        yield Fault(
            file=place.file,
            line=place.line_of(path or "spec.runtimeRef"),
            path=path or "spec.runtimeRef",
            message=f"{REASON}: {violation}{whose}",
            object=document.object,
            severity=severity,
            reason=REASON,
        )
