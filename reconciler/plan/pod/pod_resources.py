"""Requests and limits of containers, merged and in the units that engines need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.api.quantities import to_float, to_int
from reconciler.plan.job_plan import ResourcePlan

_CPU: Final = "cpu"
_MEMORY: Final = "memory"


def merge_resources(runtime: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Merges the job's requests and limits over the runtime's, resource by resource; claims by name."""
    result = dict(runtime)
    for part in ("limits", "requests"):
        if job.get(part):
            result[part] = {**(runtime.get(part) or {}), **job[part]}
    if job.get("claims"):
        own = {claim["name"] for claim in job["claims"]}
        result["claims"] = [c for c in runtime.get("claims") or () if c["name"] not in own] + job["claims"]
    return result


def count_cpus(resources: Mapping[str, Any]) -> int:
    """Returns the whole CPUs that the resources ask for, rounded up: requests before limits, at least 1.

    A request of zero counts as none, as upstream.
    """
    for part in ("requests", "limits"):
        amount = (resources.get(part) or {}).get(_CPU)
        if amount is not None and to_int(amount) > 0:
            return to_int(amount)
    return 1


def plan_resources(resources: Mapping[str, Any]) -> ResourcePlan:
    """Returns what an engine needs; a limit stands for a missing request, as in Kubernetes."""
    limits: Mapping[str, Any] = resources.get("limits") or {}
    requests: Mapping[str, Any] = {**limits, **(resources.get("requests") or {})}
    devices = {name: to_int(amount) for name, amount in sorted(requests.items()) if _is_device(name)}
    return ResourcePlan(
        cpu_limit=to_float(limits[_CPU]) if _CPU in limits else None,
        cpu_request=to_float(requests[_CPU]) if _CPU in requests else None,
        memory_limit=to_int(limits[_MEMORY]) if _MEMORY in limits else None,
        memory_request=to_int(requests[_MEMORY]) if _MEMORY in requests else None,
        devices={name: count for name, count in devices.items() if count > 0},
        raw={part: dict(resources[part]) for part in ("limits", "requests") if resources.get(part)},
    )


def _is_device(name: str) -> bool:
    """Whether a resource is a device: an extended resource, whose name has a vendor's domain."""
    return "/" in name and not name.partition("/")[0].endswith("kubernetes.io")
