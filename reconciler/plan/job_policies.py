"""How steps and the job as a whole end: policies of Job and JobSet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from reconciler.plan.draft import StepDraft
from reconciler.plan.job_plan import Dependency, ExitRule, FailureRule, RestartPolicy
from reconciler.plan.warnings import Notices

#: batch/v1's own.
BACKOFF_LIMIT: Final = 6
#: JobSet's, where Kubernetes itself says Always.
RESTART_POLICY: Final = "OnFailure"

_NOT_DONE: Final = {
    "backoffLimitPerIndex": "failures are counted for the step as a whole, not by index",
    "maxFailedIndexes": "failures are counted for the step as a whole, not by index",
    "completionMode": "instances have an index all the same",
    "successPolicy": "a step is complete when all of its instances are",
}


def dependencies(step: StepDraft) -> tuple[Dependency, ...]:
    """``dependsOn``."""
    return tuple(
        Dependency(name=wanted["name"], status=wanted["status"]) for wanted in step.raw.get("dependsOn") or ()
    )


def restart_policy(step: StepDraft) -> RestartPolicy:
    """The pod's ``restartPolicy``."""
    policy: RestartPolicy = step.pod.get("restartPolicy") or RESTART_POLICY
    return policy


def exit_rules(step: StepDraft, notices: Notices) -> tuple[ExitRule, ...]:
    """``podFailurePolicy`` rules on exit codes, in order."""
    rules = []
    for place, rule in enumerate((step.job_spec.get("podFailurePolicy") or {}).get("rules") or ()):
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
            notices.say(f"podFailurePolicy.rules[{place}].onPodConditions", "no pod is disrupted on one host")
    return tuple(rules)


def warn_job(step: StepDraft, notices: Notices) -> None:
    """Say what of a Job's spec is not acted on."""
    spec = step.job_spec
    for field, message in _NOT_DONE.items():
        if spec.get(field) not in (None, "Indexed"):
            notices.say(field, message)
    completions = spec.get("completions")
    if completions is not None and step.role == "" and completions != (spec.get("parallelism") or 1):
        notices.say("completions", "set to the parallelism, as Kubeflow Trainer does")


def failure_rules(policy: Mapping[str, Any]) -> tuple[FailureRule, ...]:
    """JobSet's ``failurePolicy.rules``, in order."""
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


def success(spec: Mapping[str, Any]) -> tuple[Literal["All", "Any"], tuple[str, ...]]:
    """JobSet's ``successPolicy``: operator, and the steps it is about (none: every step)."""
    policy = spec.get("successPolicy") or {}
    operator: Literal["All", "Any"] = "Any" if policy.get("operator") == "Any" else "All"
    return operator, tuple(policy.get("targetReplicatedJobs") or ())


def warn_job_set(spec: Mapping[str, Any], notices: Notices) -> None:
    """Say what of the JobSet's spec is not acted on."""
    strategy = (spec.get("failurePolicy") or {}).get("restartStrategy")
    if strategy == "InPlaceRestart":
        notices.say(
            "failurePolicy.restartStrategy", "InPlaceRestart is done as Recreate: containers are made anew"
        )
