"""Plans of the jobs in force, made from their records and kept while these do not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.plan.builder import build
from reconciler.plan.hashing import spec_hash
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


@dataclass(frozen=True, kw_only=True)
class _Made:
    job: dict[str, Any]
    runtime: dict[str, Any]
    uid: str
    plan: JobPlan
    digest: str


class Planner:
    """Builds plans; a plan is built again only when the job's accepted manifest or snapshot changed."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}

    def plan(self, record: Record) -> JobPlan:
        """The plan of a job that has its runtime.

        Raises:
            PlanError: job and runtime make none.
        """
        return self._of(record).plan

    def digest(self, record: Record) -> str:
        """Hash of what the plan wants."""
        return self._of(record).digest

    def forget(self, key: str) -> None:
        """The job is gone."""
        self._made.pop(key, None)

    def _of(self, record: Record) -> _Made:
        made = self._made.get(record.key)
        if made is not None and (made.job, made.runtime, made.uid) == (
            record.job,
            record.runtime,
            record.uid,
        ):
            return made
        plan = _build(record)
        fresh = _Made(
            job=record.job, runtime=record.runtime, uid=record.uid, plan=plan, digest=spec_hash(plan)
        )
        self._made[record.key] = fresh
        return fresh


def _build(record: Record) -> JobPlan:
    from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob  # noqa: PLC0415  (slow to import)

    job = TrainJob.model_validate(record.job)
    kind = record.runtime.get("kind")
    model = TrainingRuntime if kind == "TrainingRuntime" else ClusterTrainingRuntime
    return build(job, model.model_validate(record.runtime), uid=record.uid)
