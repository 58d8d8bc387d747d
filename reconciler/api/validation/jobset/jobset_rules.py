"""Rules of JobSet's webhook for the JobSet of a runtime.

The lengths of generated names are not checked: on an engine a long host name is shortened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from reconciler.api.faults import Findings, check_supported
from reconciler.api.field_paths import pod_spec_path, replicated_job_path
from reconciler.api.models.jobset import FailurePolicyRule, JobSetSpec, ReplicatedJob
from reconciler.api.name_syntax import validate_domain_prefixed_path, validate_label_1035, validate_label_1123
from reconciler.api.validation.jobset.volume_claim_rules import describe_conflict

_JOB_FAILURE_REASONS: Final = (
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
)
_BASE: Final = "spec.template.spec"
_RULE_NAME: Final = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_RULE_NAME_LIMIT: Final = 128
_MANAGER_LIMIT: Final = 63
_LARGEST: Final = 2**31 - 1


def check(spec: JobSetSpec) -> Findings:
    """Yields the faults of a runtime's JobSet."""
    names = [job.name for job in spec.replicated_jobs]
    yield from _check_network(spec)
    for index, job in enumerate(spec.replicated_jobs):
        yield from _check_replicated_job(job, index, names)
    if spec.success_policy:
        base = f"{_BASE}.successPolicy.targetReplicatedJobs"
        yield from _check_targets(spec.success_policy.target_replicated_jobs, base, names)
    rules = spec.failure_policy.rules if spec.failure_policy else ()
    for index, rule in enumerate(rules):
        yield from _check_failure_rule(rule, f"{_BASE}.failurePolicy.rules[{index}]", names)
        if rule.name in {earlier.name for earlier in rules[:index]}:
            path = f"{_BASE}.failurePolicy.rules[{index}].name"
            yield path, f'Duplicate value: "{rule.name}": rule names must be unique'
    yield from _check_coordinator(spec)
    yield from _check_claims(spec)


def _check_network(spec: JobSetSpec) -> Findings:
    subdomain = spec.network.subdomain if spec.network else None
    if subdomain and (problem := validate_label_1035(subdomain)):
        yield f"{_BASE}.network.subdomain", f'Invalid value: "{subdomain}": {problem}'
    manager = spec.managed_by
    if manager is None:
        return
    if problem := validate_domain_prefixed_path(manager):
        yield f"{_BASE}.managedBy", f'Invalid value: "{manager}": {problem}'
    if len(manager) > _MANAGER_LIMIT:
        yield f"{_BASE}.managedBy", f"Too long: may not be more than {_MANAGER_LIMIT} characters"


def _check_replicated_job(job: ReplicatedJob, index: int, names: Sequence[str]) -> Findings:
    base = replicated_job_path(index)
    if problem := validate_label_1123(job.name):
        yield f"{base}.name", f'Invalid value: "{job.name}": {problem}'
    if problem := validate_label_1035(job.group_name):
        yield f"{base}.groupName", f'Invalid value: "{job.group_name}": {problem}'
    if job.replicas < 0:
        yield f"{base}.replicas", f"Invalid value: {job.replicas}: should be greater than or equal to 0"
    parallelism = job.template.spec.parallelism if job.template.spec else None
    if (1 if parallelism is None else parallelism) * job.replicas > _LARGEST:
        yield f"{base}.replicas", f"Invalid value: replicas times parallelism must not exceed {_LARGEST}"
    if job.depends_on and index == 0:
        listed = ", ".join(dependency.name for dependency in job.depends_on)
        yield (
            f"{base}.dependsOn",
            (
                f"Forbidden: dependsOn cannot be set for the first replicated job (it depends on {listed}); "
                "list the jobs it waits for before it"
            ),
        )
        return
    for position, dependency in enumerate(job.depends_on):
        if dependency.name in names[:index]:
            continue
        where = "itself" if dependency.name == job.name else "a job that comes after it"
        where = where if dependency.name in names else "a job that does not exist"
        yield (
            f"{base}.dependsOn[{position}].name",
            (
                f'Invalid value: "{dependency.name}": replicatedJob {job.name} cannot depend on '
                f"{dependency.name}, {where}; it may depend only on jobs listed before it"
            ),
        )


def _check_targets(targets: Sequence[str], base: str, names: Sequence[str]) -> Findings:
    for index, target in enumerate(targets):
        if target not in names:
            yield (
                f"{base}[{index}]",
                f'Invalid value: "{target}": does not appear in replicatedJobs; it has: {", ".join(names)}',
            )


def _check_failure_rule(rule: FailurePolicyRule, base: str, names: Sequence[str]) -> Findings:
    if not 1 <= len(rule.name) <= _RULE_NAME_LIMIT:
        yield f"{base}.name", f"Invalid value: a rule's name must have 1 to {_RULE_NAME_LIMIT} characters"
    elif not _RULE_NAME.fullmatch(rule.name):
        yield (
            f"{base}.name",
            (
                f'Invalid value: "{rule.name}": must start with a letter, go on with letters, digits '
                "or any of '_,:', and end with a letter, digit or '_'"
            ),
        )
    yield from _check_targets(rule.target_replicated_jobs, f"{base}.targetReplicatedJobs", names)
    for index, reason in enumerate(rule.on_job_failure_reasons):
        yield from check_supported(reason, _JOB_FAILURE_REASONS, f"{base}.onJobFailureReasons[{index}]")
    for index, pattern in enumerate(rule.on_job_failure_message_patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            path = f"{base}.onJobFailureMessagePatterns[{index}]"
            yield path, f'Invalid value: "{pattern}": not a regular expression: {error}'


def _check_coordinator(spec: JobSetSpec) -> Findings:
    coordinator, base = spec.coordinator, f"{_BASE}.coordinator"
    if coordinator is None:
        return
    name = coordinator.replicated_job
    job = spec.find_replicated_job(name)
    if job is None:
        yield f"{base}.replicatedJob", f'Invalid value: "{name}": does not appear in replicatedJobs'
        return
    if not 0 <= (coordinator.job_index or 0) < job.replicas:
        yield f"{base}.jobIndex", f"Invalid value: {coordinator.job_index}: job {job.name} has no such index"
    template = job.template.spec
    if template is not None and template.completion_mode == "NonIndexed":
        message = f'Invalid value: "NonIndexed": the job of the coordinator ({job.name}) must be Indexed'
        path = f"{replicated_job_path(spec.replicated_jobs.index(job))}.template.spec.completionMode"
        yield path, f"{message}; remove the field"
    completions = template.completions if template else None
    pods = coordinator.pod_index or 0
    if pods < 0 or (completions is not None and pods >= completions):
        yield f"{base}.podIndex", f"Invalid value: {coordinator.pod_index}: job {job.name} has no such pod"


def _check_claims(spec: JobSetSpec) -> Findings:
    seen: set[str] = set()
    for index, policy in enumerate(spec.volume_claim_policies):
        for position, claim in enumerate(policy.templates):
            path = f"{_BASE}.volumeClaimPolicies[{index}].templates[{position}].metadata.name"
            name = claim.metadata.name if claim.metadata else None
            if not name:
                yield path, "Required value: the name is that of the volume in the pods"
            elif problem := validate_label_1123(name):
                yield path, f'Invalid value: "{name}": {problem}'
            elif name in seen:
                yield path, f'Duplicate value: "{name}": another claim has this name already'
            seen.add(name or "")
    for index, job in enumerate(spec.replicated_jobs):
        for position, volume in enumerate(job.pod_spec.volumes if job.pod_spec else ()):
            if volume.name in seen:
                yield f"{pod_spec_path(index)}.volumes[{position}].name", describe_conflict(volume.name)
