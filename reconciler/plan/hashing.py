"""A hash of what was desired, to tell a container of this plan from one of an older plan.

It is taken from the plan, never from what an engine reports (engines fill in defaults). Fields at their
defaults do not count, so that a new version with more fields gives the same hash; neither do the texts
kept for display, what may change while a job runs (``suspend``, labels and annotations of the job), or
whether the training can be heard (an engine elsewhere, a daemon that knows nothing of it).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from reconciler.plan.job_plan import JobPlan
from reconciler.plan.progress_reporting import plan_without_reporting
from reconciler.plan.serialization import to_data

_NOT_COUNTED: Final = ("suspend", "labels", "annotations", "warnings", "ttl", "active_deadline")
_LENGTH: Final = 16
#: Fields by the name they had when the first hashes were made: a label of an older daemon still matches.
_FIRST_NAMES: Final = {"pods": "instances"}


def spec_hash(plan: JobPlan) -> str:
    """16 hexadecimal digits; the same for the same desired containers, whatever the order of maps."""
    whole = to_data(plan_without_reporting(plan), compact=True)
    data = {key: value for key, value in whole.items() if key not in _NOT_COUNTED}
    text = json.dumps(_without_raw(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _without_raw(value: Any) -> Any:
    """Without the ``raw`` texts of volumes, resources and security contexts."""
    if isinstance(value, dict):
        return {
            _FIRST_NAMES.get(k, k): _without_raw(v)
            for k, v in value.items()
            if not (k == "raw" and isinstance(v, dict))
        }
    if isinstance(value, list):
        return [_without_raw(inner) for inner in value]
    return value
