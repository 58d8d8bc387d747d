"""Policies of Job and JobSet: when steps and the job as a whole complete, fail and restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from reconciler.plan.draft import StepDraft
from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.job_plan import Dependency, ExitRule, FailureRule

_IGNORED_FIELDS: Final = {
    "backoffLimitPerIndex": "failures are counted for the step as a whole, not by index",
    "maxFailedIndexes": "failures are counted for the step as a whole, not by index",
    "completionMode": "pods have an index all the same",
    "successPolicy": "a step is complete when all of its pods are",
}


def plan_dependencies(step: StepDraft) -> tuple[Dependency, ...]:
    """Reads ``dependsOn``."""
    return tuple(
        Dependency(name=entry["name"], status=entry["status"]) for entry in step.raw.get("dependsOn") or ()
    )


def plan_exit_rules(step: StepDraft, warnings: FieldWarnings) -> tuple[ExitRule, ...]:
    """Reads the rules of ``podFailurePolicy`` on exit codes, in order."""
    rules = []
    for position, rule in enumerate((step.job_spec.get("podFailurePolicy") or {}).get("rules") or ()):
        codes = rule.get("onExitCodes")
        if codes:
            rules.append(
                ExitRule(
                    action=rule["action"],
                    operator=codes["operator"],
                    codes=tuple(codes.get("values") or ()),
                    container=codes.get("containerName") or "",
                )
            )
        else:
            field = f"podFailurePolicy.rules[{position}].onPodConditions"
            warnings.add(field, "no pod is disrupted on one host")
    return tuple(rules)


def warn_job(step: StepDraft, warnings: FieldWarnings) -> None:
    """Warns about fields of the Job's spec that have no effect; ``warnings`` is at the Job's spec."""
    spec = step.job_spec
    for field, message in _IGNORED_FIELDS.items():
        if spec.get(field) not in (None, "Indexed"):
            warnings.add(field, message)
    completions = spec.get("completions")
    if completions is not None and step.role == "" and completions != (spec.get("parallelism") or 1):
        warnings.add("completions", "set to the parallelism, as Kubeflow Trainer does")


def plan_failure_rules(policy: Mapping[str, Any]) -> tuple[FailureRule, ...]:
    """Reads JobSet's ``failurePolicy.rules``, in order."""
    return tuple(
        FailureRule(
            name=rule["name"],
            action=rule["action"],
            reasons=tuple(rule.get("onJobFailureReasons") or ()),
            patterns=tuple(rule.get("onJobFailureMessagePatterns") or ()),
            targets=tuple(rule.get("targetReplicatedJobs") or ()),
        )
        for rule in policy.get("rules") or ()
    )


def plan_success_policy(spec: Mapping[str, Any]) -> tuple[Literal["All", "Any"], tuple[str, ...]]:
    """Reads JobSet's ``successPolicy``: operator, and the steps it applies to (none: every step)."""
    policy = spec.get("successPolicy") or {}
    operator: Literal["All", "Any"] = "Any" if policy.get("operator") == "Any" else "All"
    return operator, tuple(policy.get("targetReplicatedJobs") or ())


def warn_job_set(spec: Mapping[str, Any], warnings: FieldWarnings) -> None:
    """Warns about fields of the JobSet's spec that are treated as others; ``warnings`` is at that spec."""
    strategy = (spec.get("failurePolicy") or {}).get("restartStrategy")
    if strategy == "InPlaceRestart":
        warnings.add(
            "failurePolicy.restartStrategy", "InPlaceRestart is done as Recreate: containers are made again"
        )
