"""Admission of XGBoost jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.frameworks.reserved_env import reserved_env

RESERVED: Final = frozenset({"DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"})


def check(job: TrainJob, _runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job that uses an XGBoost runtime."""
    yield from reserved_env(job.spec.trainer, RESERVED, "XGBoost")
