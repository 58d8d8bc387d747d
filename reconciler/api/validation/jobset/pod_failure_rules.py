"""Rules of the API server for a Job's ``podFailurePolicy``."""

from __future__ import annotations

from typing import Final

from reconciler.api.faults import Findings, check_supported
from reconciler.api.models.batch_job import JobSpec

_ACTIONS: Final = ("FailJob", "FailIndex", "Ignore", "Count")
_OPERATORS: Final = ("In", "NotIn")


def check(spec: JobSpec, base: str) -> Findings:
    """Yields the faults of the policy; ``base`` is the path of the Job's spec."""
    policy = spec.pod_failure_policy
    if policy is None:
        return
    pod = spec.template.spec
    if pod is not None and pod.restart_policy != "Never":
        yield (
            f"{base}.template.spec.restartPolicy",
            (
                f'Invalid value: "{pod.restart_policy or "OnFailure"}": only "Never" is supported when '
                "podFailurePolicy is specified; set restartPolicy: Never"
            ),
        )
    for index, rule in enumerate(policy.rules):
        path = f"{base}.podFailurePolicy.rules[{index}]"
        yield from check_supported(rule.action, _ACTIONS, f"{path}.action")
        codes = rule.on_exit_codes
        if (codes is None) == (not rule.on_pod_conditions):
            yield path, "Invalid value: specify one of onExitCodes and onPodConditions"
        if codes is None:
            continue
        yield from check_supported(codes.operator, _OPERATORS, f"{path}.onExitCodes.operator")
        if not codes.values:
            yield f"{path}.onExitCodes.values", "Invalid value: at least one value is required"
        if codes.operator == "In" and 0 in codes.values:
            yield (
                f"{path}.onExitCodes.values[{codes.values.index(0)}]",
                "Invalid value: 0: must not be 0 for the In operator; 0 is success",
            )
