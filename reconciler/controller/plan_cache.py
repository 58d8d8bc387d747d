"""Plans of jobs, built from their records and kept while these do not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.errors import PlanError
from reconciler.plan.builder import build
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.plan_hash import spec_hash
from reconciler.state.record import Record


@dataclass(frozen=True, kw_only=True)
class _Entry:
    built_from: tuple[dict[str, Any], dict[str, Any], str]
    plan: JobPlan
    spec_hash: str


class PlanCache:
    """Builds a plan again only when the job's accepted manifest or its pinned runtime has changed."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def plan(self, record: Record) -> JobPlan:
        """Returns the plan of a job whose runtime is pinned.

        Raises:
            PlanError: job and runtime make none.
        """
        return self._entry(record).plan

    def plan_if_valid(self, record: Record) -> JobPlan | None:
        """Returns the plan of a job; None where no runtime is pinned, or job and runtime make none."""
        try:
            return self.plan(record) if record.runtime else None
        except PlanError:
            return None

    def spec_hash(self, record: Record) -> str:
        """Returns the hash of the job's plan.

        Raises:
            PlanError: job and runtime make none.
        """
        return self._entry(record).spec_hash

    def forget(self, key: str) -> None:
        """Drops the plan of a job that was deleted."""
        self._entries.pop(key, None)

    def _entry(self, record: Record) -> _Entry:
        entry = self._entries.get(record.key)
        built_from = (record.job, record.runtime, record.uid)
        if entry is None or entry.built_from != built_from:
            plan = build_plan(record)
            entry = _Entry(built_from=built_from, plan=plan, spec_hash=spec_hash(plan))
            self._entries[record.key] = entry
        return entry


def build_plan(record: Record) -> JobPlan:
    """Builds the plan of an accepted manifest and its pinned runtime.

    Raises:
        PlanError: they make none.
    """
    from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob  # noqa: PLC0415  (slow to import)

    job = TrainJob.model_validate(record.job)
    kind = record.runtime.get("kind")
    model = TrainingRuntime if kind == "TrainingRuntime" else ClusterTrainingRuntime
    return build(job, model.model_validate(record.runtime), uid=record.uid)
