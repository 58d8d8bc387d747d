"""Status of a TrainJob: ignored in manifests, written into sidecar files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reconciler.api.models.base import Int32, Int64, ListMap, Model, Rule, Timestamp


class Condition(Model):
    """One condition of a job."""

    last_transition_time: Timestamp
    message: Annotated[str, Field(max_length=32768)]
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    status: Literal["True", "False", "Unknown"]
    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    observed_generation: Annotated[Int64, Field(ge=0)] | None = None


class JobStatus(Model):
    """Counts of one replicated job."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    active: Annotated[Int32, Field(ge=0)]
    failed: Annotated[Int32, Field(ge=0)]
    ready: Annotated[Int32, Field(ge=0)]
    succeeded: Annotated[Int32, Field(ge=0)]
    suspended: Annotated[Int32, Field(ge=0)]


class Metric(Model):
    """One metric that the training reported; values are strings."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)]


class TrainerStatus(Model):
    """Progress that the training itself reported."""

    cel_rules = (
        Rule(
            "has(self.lastUpdatedTime)",
            "lastUpdatedTime is required when trainerStatus is present",
            lambda status: status.last_updated_time is not None,
        ),
    )

    estimated_remaining_seconds: Annotated[Int32, Field(ge=0)] | None = None
    last_updated_time: Timestamp | None = None
    metrics: Annotated[tuple[Metric, ...], Field(max_length=256)] = ()
    progress_percentage: Annotated[Int32, Field(ge=0, le=100)] | None = None


class TrainJobStatus(Model):
    """The state of a job as a cluster, or this daemon, reports it; ignored in a manifest."""

    min_properties = 1

    conditions: Annotated[tuple[Condition, ...], Field(max_length=8), ListMap("type")] = ()
    jobs_status: Annotated[tuple[JobStatus, ...], Field(max_length=100), ListMap("name")] = ()
    trainer_status: TrainerStatus | None = None
