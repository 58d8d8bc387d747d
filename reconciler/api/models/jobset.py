"""JobSet (``jobset.x-k8s.io/v1alpha2``): the replicated jobs of a runtime, which are its steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reconciler.api.models.base import IMMUTABLE_VALUE, Flag, Int32, Int64, ListMap, Model, Rule
from reconciler.api.models.batch_job import JobTemplateSpec
from reconciler.api.models.core.container import Container
from reconciler.api.models.core.persistent_volume_claim import PersistentVolumeClaim
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.metadata import EmbeddedMetadata
from reconciler.names import LABEL_ANCESTOR


class Coordinator(Model):
    """The pod whose address all others get."""

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
    """How, and how often, the whole set is restarted when a Job fails."""

    max_restarts: Int32 | None = None
    restart_strategy: Literal["Recreate", "BlockingRecreate", "InPlaceRestart"] = "Recreate"
    rules: tuple[FailurePolicyRule, ...] = ()


class Network(Model):
    """DNS names of the pods."""

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

    @property
    def pod_spec(self) -> PodSpec | None:
        """The spec of its pod template."""
        return self.template.spec.template.spec if self.template.spec else None

    @property
    def containers(self) -> tuple[Container, ...]:
        """Init containers and containers of its pods."""
        pod = self.pod_spec
        return (*pod.init_containers, *pod.containers) if pod else ()

    @property
    def ancestor(self) -> str:
        """Its part in the training (``trainer``, ``dataset-initializer``, ...), from a label; "" without."""
        metadata = self.template.metadata
        return metadata.labels.get(LABEL_ANCESTOR, "") if metadata else ""


class StartupPolicy(Model):
    """Whether jobs start in their order."""

    startup_policy_order: Literal["AnyOrder", "InOrder"]


class SuccessPolicy(Model):
    """Which jobs have to succeed, all or any."""

    operator: Literal["All", "Any"]
    target_replicated_jobs: tuple[str, ...] = ()


class VolumeRetentionPolicy(Model):
    """What happens to the volumes when the set is deleted."""

    when_deleted: Literal["Delete", "Retain"] = "Delete"


class VolumeClaimPolicy(Model):
    """Volumes created for the set."""

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
    def claim_names(self) -> list[str]:
        """Names of the claims created for the set, which are also the names of volumes in its pods."""
        return [
            claim.metadata.name
            for policy in self.volume_claim_policies
            for claim in policy.templates
            if claim.metadata and claim.metadata.name
        ]

    def find_replicated_job(self, name: str) -> ReplicatedJob | None:
        """Returns the replicated job of that name."""
        return next((job for job in self.replicated_jobs if job.name == name), None)

    @property
    def in_order(self) -> bool:
        """Whether each job waits for the one before it."""
        return self.startup_policy is not None and self.startup_policy.startup_policy_order == "InOrder"


class JobSetTemplateSpec(Model):
    """A JobSet with its labels and annotations."""

    min_properties = 1

    metadata: EmbeddedMetadata | None = None
    spec: JobSetSpec | None = None
