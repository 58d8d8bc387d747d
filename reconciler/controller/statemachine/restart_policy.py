"""What a failure leads to: a container restarted in place, a gang restarted, or the job failed.

Pure; upstream's two levels as they are. batch/v1 (``backoffLimit``, ``restartPolicy``, ``podFailurePolicy``)
decides inside a step; when a step has finally failed, JobSet's ``failurePolicy`` decides about the job
(kubernetes-sigs/jobset ``pkg/controllers/failure_policy.go``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reconciler.controller.statemachine.exits import Ended, describe_code
from reconciler.controller.statemachine.observation import Refusal
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import ExitRule, FailureRule, JobPlan, PodPlan, StepPlan
from reconciler.plan.policy.violations import REASON
from reconciler.state.record import Failure, Record

#: The kubelet's and the Job controller's back-off: 10 s, 20 s, 40 s, ... 6 min.
CONTAINER_BACKOFF: Final = 10.0
BACKOFF_LIMIT: Final = 360.0
#: A gang restart waits 1 s, 2 s, 4 s, ... 6 min (this project's; JobSet has none).
GANG_BACKOFF: Final = 1.0

#: Reason of the event that says, once, what restarting one rank alone means.
ALONE: Final = "RestartedAlone"

#: Of a failure's last log lines, how many the Failed condition repeats, and how many characters of each.
LINES_SHOWN: Final = 5
LINE_SHOWN: Final = 300

BACKOFF_EXCEEDED: Final = "BackoffLimitExceeded"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
POD_FAILURE_POLICY: Final = "PodFailurePolicy"

#: batch/v1's messages of a failed Job, which ``onJobFailureMessagePatterns`` are held against.
JOB_MESSAGES: Final = {
    BACKOFF_EXCEEDED: "Job has reached the specified backoff limit",
    DEADLINE_EXCEEDED: "Job was active longer than specified deadline",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A step that has finally failed, and why (batch/v1's Failed reasons).

    Attributes:
        message: of the failed Job on a cluster, where it is not the same for every Job.
    """

    step: str
    index: int
    reason: str
    message: str = ""


def backoff(failures: int, *, base: float) -> float:
    """Seconds before try number ``failures`` + 1: doubling from ``base``, at most six minutes."""
    return float(min(base * 2 ** min(max(failures - 1, 0), 16), BACKOFF_LIMIT))


def absorb(
    plan: JobPlan, record: Record, ended: tuple[Ended, ...], *, now: float, gang_scope: bool
) -> tuple[Record, Verdict | None, bool]:
    """Count the failures among ``ended`` and schedule the restarts they allow.

    Args:
        plan: of the job.
        record: settled.
        ended: what ended in this pass, first one first.
        now: seconds since the epoch.
        gang_scope: each allowed retry is one of the whole gang (``restart-scope: gang``).

    Returns:
        The record, the first step that has finally failed (or None), and whether a retry of the whole
        gang is wanted.
    """
    verdict: Verdict | None = None
    gang = False
    for end in ended:
        step = plan.step(end.step)
        pod = step.pods[end.index]
        if end.result.succeeded and not (end.kind == "sidecar" or step.restart_policy == "Always"):
            continue
        if record.steps_done.get(step.name):
            continue
        if end.kind == "sidecar":
            if not _work_done(record, pod):
                record = _restart(record, end.container, now=now)
                record = _take_joined_along(record, pod, end.container)
            continue
        record = _first_failure(record, end)
        rule = _matching(step, end)
        if rule is not None and rule.action in {"FailJob", "FailIndex"}:
            verdict = verdict or _by_exit_rule(plan, pod, end, rule, place=step.exit_rules.index(rule))
            continue
        if rule is None or rule.action == "Count":
            failures = record.step_failures.get(step.name, 0) + 1
            counted = {**record.step_failures, step.name: failures}
            record = record.model_copy(update={"step_failures": counted})
            if failures > step.backoff_limit:
                verdict = verdict or Verdict(step=step.name, index=end.index, reason=BACKOFF_EXCEEDED)
                continue
        if gang_scope:
            gang = True
        elif step.restart_policy == "Never":
            record = _replace(record, pod, end, now=now)
        else:
            record = _restart_in_place(record, step, end, now=now)
    return record, verdict, gang


def _work_done(record: Record, pod: PodPlan) -> bool:
    results = [record.container(c.name).result for c in pod.containers if c.kind == "main"]
    return all(result is not None and result.succeeded for result in results)


def _first_failure(record: Record, end: Ended) -> Record:
    if record.failure is not None and record.failure.attempt == record.attempt:
        return record
    failure = Failure(
        attempt=record.attempt,
        step=end.step,
        container=end.container,
        container_id=end.container_id,
        rank=end.rank,
        index=end.index,
        code=end.result.code,
        reason=end.result.reason,
        message=end.result.message or describe_code(end.result.code),
        at=end.result.finished_at,
    )
    return record.model_copy(update={"failure": failure})


def _matching(step: StepPlan, end: Ended) -> ExitRule | None:
    code = end.result.code
    if code is None:
        return None
    for rule in step.exit_rules:
        named = not rule.container or rule.container == end.template
        if named and (code in rule.codes) == (rule.operator == "In"):
            return rule
    return None


def _by_exit_rule(plan: JobPlan, pod: PodPlan, end: Ended, rule: ExitRule, *, place: int) -> Verdict:
    """The verdict of a ``podFailurePolicy`` rule, with the Job controller's message."""
    message = (
        f"Container {end.template} for pod {plan.namespace}/{pod.name} failed with exit code "
        f"{end.result.code} matching {rule.action} rule at index {place}"
    )
    return Verdict(step=end.step, index=end.index, reason=POD_FAILURE_POLICY, message=message)


def _restart(record: Record, name: str, *, now: float) -> Record:
    known = record.container(name)
    failures = known.failures + 1
    return record.with_container(
        name,
        restart=known.restart + 1,
        failures=failures,
        result=None,
        container_id="",
        started_at=None,
        not_before=now + backoff(failures, base=CONTAINER_BACKOFF),
    )


def _fresh(record: Record, name: str, *, not_before: float) -> Record:
    known = record.container(name)
    return record.with_container(
        name,
        restart=known.restart + 1,
        result=None,
        container_id="",
        started_at=None,
        not_before=not_before,
    )


def _restart_in_place(record: Record, step: StepPlan, end: Ended, *, now: float) -> Record:
    """Restart one container; those that share its network namespace go with it."""
    pod = step.pods[end.index]
    record = _restart(record, end.container, now=now)
    wait = record.container(end.container).not_before - now
    message = f"{end.container}: {end.result.message}; started again in {wait:.0f} s"
    record = record.with_event("BackOff", message, now=now, kind="Warning")
    if len(step.pods) > 1 and end.rank is not None and ALONE not in record.warned:
        hint = (
            f"{end.container} is restarted alone; where the others wait for it in a collective, they hang. "
            f"The annotation {ANNOTATION_RESTART_SCOPE}: gang restarts all ranks together."
        )
        record = record.model_copy(update={"warned": (*record.warned, ALONE)})
        record = record.with_event(ALONE, hint, now=now)
    return _take_joined_along(record, pod, end.container)


def _take_joined_along(record: Record, pod: PodPlan, owner: str) -> Record:
    """What runs in the network namespace of a container that restarts goes with it: its network is gone."""
    if not owns_network(pod, owner):
        return record
    not_before = record.container(owner).not_before
    for container in pod.containers:
        other = record.container(container.name)
        unfinished = other.result is None and other.container_id
        if joins_owner(pod, container.name) and unfinished:
            record = _fresh(record, container.name, not_before=not_before)
    return record


def owns_network(pod: PodPlan, name: str) -> bool:
    """Whether the container's network namespace is the one the pod shares."""
    first = next((c for c in pod.containers if c.kind == "sidecar"), None)
    return (first or pod.primary).name == name


def joins_owner(pod: PodPlan, name: str) -> bool:
    """Whether the container runs in the owner's network namespace: all that start after the owner.

    Init containers before it run alone, at the pod's address; those after a native sidecar beside it.
    """
    containers = {c.name: c for c in pod.containers}
    if owns_network(pod, name):
        return False
    if containers[name].kind != "init":
        return True
    order = list(containers)
    owner = next(n for n in order if owns_network(pod, n))
    return containers[owner].kind == "sidecar" and order.index(name) > order.index(owner)


def _replace(record: Record, pod: PodPlan, end: Ended, *, now: float) -> Record:
    """``restartPolicy: Never``: the pod as a whole is made anew, init containers too."""
    record = _restart(record, end.container, now=now)
    not_before = record.container(end.container).not_before
    for container in pod.containers:
        if container.name != end.container:
            record = _fresh(record, container.name, not_before=not_before)
    return record


def restart_gang(record: Record, *, now: float, counted: bool, why: str) -> Record:
    """Attempt + 1: every container anew, volumes and addresses kept, with exponential back-off."""
    restarts = record.restarts + 1
    delay = backoff(restarts, base=GANG_BACKOFF)
    changed = next_attempt(record).model_copy(
        update={
            "restarts": restarts,
            "counted_restarts": record.counted_restarts + (1 if counted else 0),
            "step_restarts": {},
            "counted_step_restarts": {},
            "attempt_not_before": now + delay,
        }
    )
    message = f"{why} Attempt {changed.attempt} starts."
    return changed.with_event("Restarting", message, now=now, kind="Warning")


def next_attempt(record: Record, *, keep_succeeded: bool = False) -> Record:
    """A record for a new gang; with ``keep_succeeded`` steps that are complete stay complete."""
    done = {s: d for s, d in record.steps_done.items() if keep_succeeded and d == "succeeded"}
    return record.model_copy(
        update={
            "attempt": record.attempt + 1,
            "containers": {},
            "steps_done": done,
            "step_failures": {},
            "step_started": {s: t for s, t in record.step_started.items() if s in done},
            "attempt_not_before": 0.0,
            "problem": None,
        }
    )


def judge(plan: JobPlan, record: Record, verdict: Verdict, *, now: float) -> Record:
    """JobSet's failure policy on a step that failed: restart the gang, or fail the job for good."""
    job = f"{plan.name}-{verdict.step}-0"
    first = f"(first failed job: {job})"
    if plan.max_restarts is None:
        return fail(record, "FailedJobs", f"jobset failed due to one or more job failures {first}", now=now)
    rule = _rule(plan.failure_rules, verdict)
    action = rule.action if rule is not None else "RestartJobSet"
    if action in {"FailJobSet", "FailJob"}:
        message = f"applying FailJobSet failure policy action {first}"
        return fail(record, "FailJobSetFailurePolicyAction", message, now=now)
    alone = action.startswith("RestartJob") and not action.startswith("RestartJobSet")
    counted = not action.endswith("AndIgnoreMaxRestarts")
    so_far = max(record.counted_restarts, record.counted_step_restarts.get(verdict.step, 0) if alone else 0)
    if counted and so_far >= plan.max_restarts:
        message = f"jobset failed due to reaching max number of restarts {first}"
        return fail(record, "ReachedMaxRestarts", message, now=now)
    why = f"{blame(record, verdict)}."
    if alone:
        return _restart_step(plan.step(verdict.step), record, now=now, counted=counted, why=why)
    return restart_gang(record, now=now, counted=counted, why=why)


def _restart_step(step: StepPlan, record: Record, *, now: float, counted: bool, why: str) -> Record:
    """JobSet's ``RestartJob``: the failed job alone is made anew, the others run on.

    It is counted by step; the whole job's restarts and attempt stay as they are.
    """
    restarts = record.step_restarts.get(step.name, 0) + 1
    towards_max = record.counted_step_restarts.get(step.name, 0) + (1 if counted else 0)
    not_before = now + backoff(restarts, base=GANG_BACKOFF)
    for pod in step.pods:
        for container in pod.containers:
            record = _fresh(record, container.name, not_before=not_before)
    changed = record.model_copy(
        update={
            "step_restarts": {**record.step_restarts, step.name: restarts},
            "counted_step_restarts": {**record.counted_step_restarts, step.name: towards_max},
            "steps_done": {s: d for s, d in record.steps_done.items() if s != step.name},
            "step_failures": {s: n for s, n in record.step_failures.items() if s != step.name},
            "step_started": {s: t for s, t in record.step_started.items() if s != step.name},
        }
    )
    return changed.with_event("Restarting", f"{why} Step {step.name} starts anew.", now=now, kind="Warning")


def _rule(rules: tuple[FailureRule, ...], verdict: Verdict) -> FailureRule | None:
    """The first rule that is about this failure (JobSet takes the first match)."""
    message = verdict.message or JOB_MESSAGES.get(verdict.reason, verdict.reason)
    for rule in rules:
        for_step = not rule.targets or verdict.step in rule.targets
        for_reason = not rule.reasons or verdict.reason in rule.reasons
        if for_step and for_reason and _says(rule.patterns, message):
            return rule
    return None


def _says(patterns: tuple[str, ...], message: str) -> bool:
    return not patterns or any(re.search(pattern, message) for pattern in patterns)


def blame(record: Record, verdict: Verdict) -> str:
    """Who failed first, in words: ``rank 1 (demo-node-1) failed: exit code 1``."""
    failure = record.failure
    if failure is None or failure.attempt != record.attempt:
        return f"step {verdict.step} failed: {verdict.reason}"
    who = f"rank {failure.rank} ({failure.container})" if failure.rank is not None else failure.container
    return f"{who} failed: {failure.message}"


def fail(record: Record, reason: str, message: str, *, now: float) -> Record:
    """Failed, for good; the message gains who failed first and its last log lines once they are known."""
    failure = record.failure
    if failure is not None and failure.attempt == record.attempt and reason != DEADLINE_EXCEEDED:
        who = f"rank {failure.rank} " if failure.rank is not None else ""
        message = f"{message}: {who}{failure.container}: {failure.message}"
    finished = _ended(record.with_condition("Failed", "True", reason, message, now=now), now=now)
    return finished.with_event(reason, message, now=now, kind="Warning")


def refuse(record: Record, refusal: Refusal, *, now: float) -> Record:
    """Failed by the policy; of a job that has not run, until its manifest or the policy changes."""
    failed = _ended(record.with_condition("Failed", "True", REASON, refusal.message, now=now), now=now)
    failed = failed.model_copy(update={"refused_under": refusal.digest})
    return failed.with_event(REASON, refusal.message, now=now, kind="Warning")


def is_held_back(record: Record) -> bool:
    """Whether the policy has refused the job before anything of it ran."""
    failed = record.condition("Failed")
    refused = failed is not None and failed.status == "True" and failed.reason == REASON
    return refused and record.started_at is None


def with_last_words(record: Record, lines: tuple[str, ...]) -> Record:
    """What the first to fail printed last: into the failure, and the end of it into the Failed condition."""
    failure, failed = record.failure, record.condition("Failed")
    if failure is None:
        return record
    record = record.model_copy(update={"failure": failure.model_copy(update={"log": lines})})
    words = [line[:LINE_SHOWN] for line in lines[-LINES_SHOWN:] if line.strip()]
    if failed is None or not words or not failed.message.endswith(failure.message):
        return record
    message = "\n".join([f"{failed.message}; its last lines:", *words])
    return record.with_condition("Failed", failed.status, failed.reason, message, now=failed.at)


def complete(record: Record, *, now: float) -> Record:
    """Complete, for good."""
    message = "jobset completed successfully"
    finished = _ended(
        record.with_condition("Complete", "True", "AllJobsCompleted", message, now=now), now=now
    )
    return finished.with_event("AllJobsCompleted", message, now=now)


def _ended(record: Record, *, now: float) -> Record:
    ended = {"finished_at": now, "clock_from": now, "admitted": False, "queued": "", "problem": None}
    return record.model_copy(update=ended)
