"""JobSets: the replicated jobs of a runtime (``jobset.x-k8s.io/v1alpha2``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reconciler.api.models.base import IMMUTABLE_VALUE, Flag, Int32, Int64, ListMap, Model, Rule
from reconciler.api.models.batch_job import JobTemplateSpec
from reconciler.api.models.core.persistent_volume_claim import PersistentVolumeClaim
from reconciler.api.models.metadata import EmbeddedMetadata


class Coordinator(Model):
    """The pod whose address is told to all."""

    replicated_job: str
    job_index: Int64 | None = None
    pod_index: Int64 | None = None


class FailurePolicyRule(Model):
    """What a Job's failure does, by job and reason."""

    name: str
    action: Literal[
        "FailJobSet",
        "RestartJobSet",
        "RestartJobSetAndIgnoreMaxRestarts",
        "RestartJob",
        "RestartJobAndIgnoreMaxRestarts",
    ]
    on_job_failure_message_patterns: tuple[str, ...] = ()
    on_job_failure_reasons: tuple[str, ...] = ()
    target_replicated_jobs: tuple[str, ...] = ()


class FailurePolicy(Model):
    """How often the whole set is restarted."""

    max_restarts: Int32 | None = None
    restart_strategy: Literal["Recreate", "BlockingRecreate", "InPlaceRestart"] = "Recreate"
    rules: tuple[FailurePolicyRule, ...] = ()


class Network(Model):
    """Names of the pods on the network."""

    enable_dns_hostnames: Flag | None = None
    publish_not_ready_addresses: Flag | None = None
    subdomain: str | None = None


class DependsOn(Model):
    """A step that has to be Ready or Complete first."""

    name: str
    status: Literal["Ready", "Complete"]


class ReplicatedJob(Model):
    """A Job of the set: a step of the training."""

    name: str
    template: JobTemplateSpec
    depends_on: Annotated[tuple[DependsOn, ...], Field(max_length=5), ListMap("name"), IMMUTABLE_VALUE] = ()
    group_name: str = "default"
    replicas: Int32 = 1


class StartupPolicy(Model):
    """Whether jobs start in their order."""

    startup_policy_order: Literal["AnyOrder", "InOrder"]


class SuccessPolicy(Model):
    """Which jobs have to succeed, all or any."""

    operator: Literal["All", "Any"]
    target_replicated_jobs: tuple[str, ...] = ()


class VolumeRetentionPolicy(Model):
    """What becomes of them when the set is deleted."""

    when_deleted: Literal["Delete", "Retain"] = "Delete"


class VolumeClaimPolicy(Model):
    """Volumes made for the set."""

    cel_rules = (
        Rule(
            "self.templates.all(t, !has(t.metadata.namespace) || size(t.metadata.namespace) == 0)",
            "namespace cannot be set for VolumeClaimPolicies templates",
            lambda policy: not any(claim.metadata and claim.metadata.namespace for claim in policy.templates),
        ),
    )

    retention_policy: VolumeRetentionPolicy | None = None
    templates: Annotated[tuple[PersistentVolumeClaim, ...], Field(max_length=50)] = ()


class JobSetSpec(Model):
    """The replicated jobs of a training and how they start, succeed and fail together."""

    cel_rules = (
        Rule(
            "!(has(self.startupPolicy) && self.startupPolicy.startupPolicyOrder == 'InOrder' "
            "&& self.replicatedJobs.exists(x, has(x.dependsOn)))",
            "StartupPolicy and DependsOn APIs are mutually exclusive",
            lambda spec: not (spec.in_order and any(job.depends_on for job in spec.replicated_jobs)),
        ),
    )

    coordinator: Coordinator | None = None
    failure_policy: Annotated[FailurePolicy | None, IMMUTABLE_VALUE] = None
    managed_by: str | None = None
    network: Annotated[Network | None, IMMUTABLE_VALUE] = None
    replicated_jobs: Annotated[tuple[ReplicatedJob, ...], ListMap("name")] = ()
    startup_policy: Annotated[StartupPolicy | None, IMMUTABLE_VALUE] = None
    success_policy: Annotated[SuccessPolicy | None, IMMUTABLE_VALUE] = None
    suspend: Flag | None = None
    ttl_seconds_after_finished: Annotated[Int32, Field(ge=0)] | None = None
    volume_claim_policies: Annotated[
        tuple[VolumeClaimPolicy, ...], Field(max_length=50), IMMUTABLE_VALUE
    ] = ()

    @property
    def in_order(self) -> bool:
        """Whether each job waits for the one before it."""
        return self.startup_policy is not None and self.startup_policy.startup_policy_order == "InOrder"


class JobSetTemplateSpec(Model):
    """A JobSet with its labels and annotations."""

    min_properties = 1

    metadata: EmbeddedMetadata | None = None
    spec: JobSetSpec | None = None
