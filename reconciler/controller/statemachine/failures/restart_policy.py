"""The restart policy of containers: retries inside a step, as batch/v1 and the kubelet do them. Pure.

``backoffLimit``, ``restartPolicy`` and ``podFailurePolicy`` decide whether a failed container is restarted in
place, its pod is replaced, or its step has finally failed; the last is for :mod:`failure_policy`.
"""

from __future__ import annotations

from typing import Final

from reconciler.controller.statemachine.attempts import CONTAINER_BACKOFF, backoff, reset_container
from reconciler.controller.statemachine.event_recorder import record_once
from reconciler.controller.statemachine.exits import ContainerExit, describe_exit_code
from reconciler.controller.statemachine.failures.step_failure import (
    BACKOFF_LIMIT_EXCEEDED,
    POD_FAILURE_POLICY,
    StepFailure,
    record_first_failure,
)
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import ExitRule, JobPlan, PodPlan, StepPlan
from reconciler.state.record import Failure, Record

#: Reason of the event, once per job, that explains what restarting one rank alone means.
RESTARTED_ALONE: Final = "RestartedAlone"


def apply_restart_policy(
    plan: JobPlan, record: Record, exits: tuple[ContainerExit, ...], *, now: float, gang_scope: bool
) -> tuple[Record, StepFailure | None, bool]:
    """Counts the failures among ``exits`` and schedules the restarts they allow.

    Args:
        plan: of the job.
        record: with the exits written down.
        exits: observed in this pass, first one first.
        now: seconds since the epoch.
        gang_scope: each allowed retry is one of the whole gang (``restart-scope: gang``).

    Returns:
        The record, the first step that has finally failed (or None), and whether a retry of the whole
        gang is wanted.
    """
    step_failure: StepFailure | None = None
    gang = False
    for end in exits:
        step = plan.step(end.pod.step)
        if record.steps_done.get(step.name):
            continue
        if end.container.kind == "sidecar":
            record = _restart_sidecar(record, end, now=now)
            continue
        if end.result.succeeded and step.restart_policy != "Always":
            continue
        record = record_first_failure(record, _failure(record, end))
        record, failed = _count_failure(plan, step, record, end)
        if failed is not None:
            step_failure = step_failure or failed
        elif gang_scope:
            gang = True
        elif step.restart_policy == "Never":
            record = _replace_pod(record, end, now=now)
        else:
            record = _restart_in_place(record, step, end, now=now)
    return record, step_failure, gang


def _failure(record: Record, end: ContainerExit) -> Failure:
    return Failure(
        attempt=record.attempt,
        step=end.pod.step,
        container=end.container.name,
        container_id=end.container_id,
        rank=end.pod.rank,
        index=end.pod.index,
        code=end.result.code,
        reason=end.result.reason,
        message=end.result.message or describe_exit_code(end.result.code),
        at=end.result.finished_at,
    )


def _count_failure(
    plan: JobPlan, step: StepPlan, record: Record, end: ContainerExit
) -> tuple[Record, StepFailure | None]:
    """Applies ``podFailurePolicy``, then counts the failure towards ``backoffLimit``."""
    rule = _matching_rule(step, end)
    if rule is not None and rule.action in {"FailJob", "FailIndex"}:
        # The Job controller's message.
        message = (
            f"Container {end.container.container} for pod {plan.namespace}/{end.pod.name} failed with exit "
            f"code {end.result.code} matching {rule.action} rule at index {step.exit_rules.index(rule)}"
        )
        return record, StepFailure(step=step.name, reason=POD_FAILURE_POLICY, message=message)
    if rule is not None and rule.action != "Count":
        return record, None
    failures = record.step_failures.get(step.name, 0) + 1
    record = record.replace(step_failures={**record.step_failures, step.name: failures})
    exceeded = failures > step.backoff_limit
    return record, StepFailure(step=step.name, reason=BACKOFF_LIMIT_EXCEEDED) if exceeded else None


def _matching_rule(step: StepPlan, end: ContainerExit) -> ExitRule | None:
    code = end.result.code
    if code is None:
        return None
    for rule in step.exit_rules:
        named = not rule.container or rule.container == end.container.container
        if named and (code in rule.codes) == (rule.operator == "In"):
            return rule
    return None


def _restart_container(record: Record, name: str, *, now: float) -> Record:
    """Starts a new run of a container that has ended, after its back-off."""
    failures = record.container(name).failures + 1
    record = reset_container(record, name, not_before=now + backoff(failures, base=CONTAINER_BACKOFF))
    return record.with_container(name, failures=failures)


def _restart_sidecar(record: Record, end: ContainerExit, *, now: float) -> Record:
    """Restarts a sidecar container, counting no failure, until the pod's regular ones have succeeded."""
    results = [record.container(c.name).result for c in end.pod.containers if c.kind == "main"]
    if all(result is not None and result.succeeded for result in results):
        return record
    record = _restart_container(record, end.container.name, now=now)
    return _restart_network_sharers(record, end.pod, end.container.name)


def _restart_in_place(record: Record, step: StepPlan, end: ContainerExit, *, now: float) -> Record:
    """Restarts one container, and those that share its network namespace."""
    name = end.container.name
    record = _restart_container(record, name, now=now)
    wait = record.container(name).not_before - now
    message = f"{name}: {end.result.message}; started again in {wait:.0f} s"
    record = record.with_event("BackOff", message, now=now, kind="Warning")
    if len(step.pods) > 1 and end.pod.rank is not None:
        hint = (
            f"{name} is restarted alone; where the others wait for it in a collective, they hang. "
            f"The annotation {ANNOTATION_RESTART_SCOPE}: gang restarts all ranks together."
        )
        record = record_once(record, RESTARTED_ALONE, RESTARTED_ALONE, hint, now=now, kind="Normal")
    return _restart_network_sharers(record, end.pod, name)


def _restart_network_sharers(record: Record, pod: PodPlan, owner: str) -> Record:
    """Restarts what runs in the network namespace of a container that restarts: its network is gone."""
    if pod.network_owner.name != owner:
        return record
    not_before = record.container(owner).not_before
    for container in pod.containers:
        other = record.container(container.name)
        unfinished = other.result is None and other.container_id
        if unfinished and pod.joins_network(container.name):
            record = reset_container(record, container.name, not_before=not_before)
    return record


def _replace_pod(record: Record, end: ContainerExit, *, now: float) -> Record:
    """``restartPolicy: Never``: restarts all containers of the pod, init containers too."""
    record = _restart_container(record, end.container.name, now=now)
    not_before = record.container(end.container.name).not_before
    for container in end.pod.containers:
        if container.name != end.container.name:
            record = reset_container(record, container.name, not_before=not_before)
    return record
