"""Job of the batch group: the template of each replicated job."""

from __future__ import annotations

from typing import Annotated

from reconciler.api.models.base import Flag, Int32, Int64, ListSet, Model
from reconciler.api.models.core.pod import PodTemplateSpec
from reconciler.api.models.metadata import EmbeddedMetadata, LabelSelector


class PodFailurePolicyOnExitCodes(Model):
    """Exit codes that a rule matches."""

    operator: str
    values: Annotated[tuple[Int32, ...], ListSet()]
    container_name: str | None = None


class PodFailurePolicyOnPodCondition(Model):
    """A pod condition that a rule matches."""

    type: str
    status: str | None = None


class PodFailurePolicyRule(Model):
    """One rule of a pod failure policy; the first that matches applies."""

    action: str
    on_exit_codes: PodFailurePolicyOnExitCodes | None = None
    on_pod_conditions: tuple[PodFailurePolicyOnPodCondition, ...] = ()


class PodFailurePolicy(Model):
    """Rules for what a pod's failure does to the Job."""

    rules: tuple[PodFailurePolicyRule, ...]


class JobSuccessPolicyRule(Model):
    """One condition of a success policy; any of them is enough."""

    succeeded_count: Int32 | None = None
    succeeded_indexes: str | None = None


class JobSuccessPolicy(Model):
    """Conditions under which an indexed Job is complete before all of its pods are."""

    rules: tuple[JobSuccessPolicyRule, ...]


class JobSpec(Model):
    """A batch Job: how many pods, how often they are tried, how long they may take (seconds)."""

    template: PodTemplateSpec
    active_deadline_seconds: Int64 | None = None
    backoff_limit: Int32 | None = None
    backoff_limit_per_index: Int32 | None = None
    completion_mode: str | None = None
    completions: Int32 | None = None
    managed_by: str | None = None
    manual_selector: Flag | None = None
    max_failed_indexes: Int32 | None = None
    parallelism: Int32 | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    pod_replacement_policy: str | None = None
    selector: LabelSelector | None = None
    success_policy: JobSuccessPolicy | None = None
    suspend: Flag | None = None
    ttl_seconds_after_finished: Int32 | None = None


class JobTemplateSpec(Model):
    """A Job with its labels and annotations."""

    metadata: EmbeddedMetadata | None = None
    spec: JobSpec | None = None
