"""Requests and limits: the merged texts, and what engines need of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.api import quantities
from reconciler.api.quantities import cores, to_bytes, whole
from reconciler.plan.job_plan import ResourcePlan

_CPU: Final = "cpu"
_MEMORY: Final = "memory"


def merged_resources(runtime: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """The job's requests and limits laid over the runtime's, resource by resource; claims by name."""
    result = dict(runtime)
    for part in ("limits", "requests"):
        if job.get(part):
            result[part] = {**(runtime.get(part) or {}), **job[part]}
    if job.get("claims"):
        own = {claim["name"] for claim in job["claims"]}
        result["claims"] = [c for c in runtime.get("claims") or () if c["name"] not in own] + job["claims"]
    return result


def gpus(resources: Mapping[str, Any]) -> int:
    """GPUs that the resources ask for: any resource with ``gpu`` in its name, requests before limits."""
    return quantities.gpus(resources.get("requests") or {}, resources.get("limits") or {})


def processors(resources: Mapping[str, Any]) -> int:
    """Whole CPUs that the resources ask for, rounded up: requests before limits, at least 1.

    A request of zero is none, as upstream counts.
    """
    for part in ("requests", "limits"):
        amount = (resources.get(part) or {}).get(_CPU)
        if amount is not None and whole(amount) > 0:
            return whole(amount)
    return 1


def plan_resources(resources: Mapping[str, Any]) -> ResourcePlan:
    """What an engine needs; a limit stands for a request that is not there, as in Kubernetes."""
    limits: Mapping[str, Any] = resources.get("limits") or {}
    requests: Mapping[str, Any] = {**limits, **(resources.get("requests") or {})}
    return ResourcePlan(
        cpu_limit=cores(limits[_CPU]) if _CPU in limits else None,
        cpu_request=cores(requests[_CPU]) if _CPU in requests else None,
        memory_limit=to_bytes(limits[_MEMORY]) if _MEMORY in limits else None,
        memory_request=to_bytes(requests[_MEMORY]) if _MEMORY in requests else None,
        devices={name: whole(n) for name, n in sorted(requests.items()) if _is_device(name) and whole(n) > 0},
        raw={part: dict(resources[part]) for part in ("limits", "requests") if resources.get(part)},
    )


def _is_device(name: str) -> bool:
    """Whether a resource is a device: an extended resource, whose name has a vendor's domain."""
    return "/" in name and not name.partition("/")[0].endswith("kubernetes.io")
