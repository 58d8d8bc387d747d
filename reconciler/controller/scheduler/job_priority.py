"""The priority of a job among those that wait for admission. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.names import ANNOTATION_PRIORITY

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.plan.job_plan import JobPlan

#: Kubernetes' own classes.
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def job_priority(plan: JobPlan, documents: Iterable[Document]) -> int:
    """The annotation, else the pods' own, else the value of the PriorityClass among the documents; else 0."""
    with suppress(KeyError, ValueError):
        return int(plan.annotations[ANNOTATION_PRIORITY])
    if plan.priority is not None:
        return plan.priority
    if not plan.priority_class:
        return 0
    for document in documents:
        if document.kind == "PriorityClass" and document.name == plan.priority_class:
            value = document.raw.get("value")
            return value if isinstance(value, int) else 0
    return SYSTEM_PRIORITIES.get(plan.priority_class, 0)
