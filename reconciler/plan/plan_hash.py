"""The spec hash: tells a container of this plan from a container of an older plan.

It is taken from the plan, never from what an engine reports, since engines fill in defaults. Fields at
their defaults do not count, so that a version with more fields gives the same hash. Neither do texts kept
for display, what may change while a job runs (``suspend``, labels and annotations of the job), and whether
the training can reach the progress endpoint (an engine on another machine cannot).

What can go wrong: a hash that changes makes every running container stale after an upgrade.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from reconciler.plan.job_plan import JobPlan
from reconciler.plan.progress_reporting import remove_reporting
from reconciler.plan.serialization import to_data

_NOT_COUNTED: Final = (
    "suspend",
    "labels",
    "annotations",
    "warnings",
    "cluster_differences",
    "ttl",
    "active_deadline",
)
_LENGTH: Final = 16
#: Renamed fields of the plan's types: name now -> name in the first hashes, which labels still carry.
FIRST_NAMES: Final = {"pods": "instances", "all_keys_of": "all_of"}


def spec_hash(plan: JobPlan) -> str:
    """Returns 16 hexadecimal digits; equal for equal desired containers, whatever the order of maps."""
    whole = to_data(remove_reporting(plan), compact=True)
    data = {key: value for key, value in whole.items() if key not in _NOT_COUNTED}
    text = json.dumps(_counted(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _counted(value: Any) -> Any:
    """Returns the data under the fields' first names, without the ``raw`` maps kept for display.

    Headers of probes do not count either: earlier versions sent none, and no container needs to be made anew
    for those that are sent now. A label or a device may have the name of a field: unlike these fields its
    value is no map and no list.
    """
    if isinstance(value, dict):
        return {
            FIRST_NAMES.get(key, key) if isinstance(inner, list) else key: _counted(inner)
            for key, inner in value.items()
            if not (key == "raw" and isinstance(inner, dict))
            and not (key == "http_headers" and isinstance(inner, list))
        }
    if isinstance(value, list):
        return [_counted(inner) for inner in value]
    return value
