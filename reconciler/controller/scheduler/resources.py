"""What jobs and pods request of the host: CPUs, memory and device classes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the command line takes the names of resources from here, and no plan
    from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan

CPU: Final = "cpu"
MEMORY: Final = "memory"
_GIBI: Final = 1024**3


def requested_resources(plan: JobPlan) -> dict[str, float]:
    """Returns what a job holds while it runs: ``cpu``, ``memory`` (bytes) and device classes (count).

    Initializers run before the rest, so the larger of the two counts. Zeros are left out.
    """
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for step in plan.steps:
        sums = early if step.role.endswith("-initializer") else late
        for pod in step.pods:
            for resource, amount in requested_by_pod(pod).items():
                sums[resource] = sums.get(resource, 0) + amount
    largest = {r: max(early.get(r, 0), late.get(r, 0)) for r in early | late}
    return {resource: amount for resource, amount in largest.items() if amount > 0}


def requested_by_pod(pod: PodPlan) -> dict[str, float]:
    """Returns what a pod requests of each resource."""
    init_last = sorted(pod.containers, key=lambda c: c.kind == "init")
    requests = {c.name: _requested_by_container(c) for c in init_last}
    resources = dict.fromkeys(resource for amounts in requests.values() for resource in amounts)

    def total(resource: str) -> float:
        return pod.total(lambda container: requests[container.name].get(resource, 0))

    return {resource: total(resource) for resource in resources}


def _requested_by_container(container: ContainerPlan) -> dict[str, float]:
    """Requests; where there is none, the limit (Kubernetes' default)."""
    resources = container.resources
    cpu = resources.cpu_request if resources.cpu_request is not None else resources.cpu_limit
    memory = resources.memory_request if resources.memory_request is not None else resources.memory_limit
    return {CPU: cpu or 0, MEMORY: float(memory or 0)} | {k: float(n) for k, n in resources.devices.items()}


def is_device(resource: str) -> bool:
    """Whether the resource is a device class."""
    return resource not in {CPU, MEMORY}


def describe_amount(resource: str, amount: float) -> str:
    """Renders an amount: ``32 GiB memory``, ``4 CPUs``, ``2 nvidia.com/gpu``."""
    if resource == MEMORY:
        return f"{amount / _GIBI:.3g} GiB memory"
    if resource == CPU:
        return f"{amount:g} CPUs"
    return f"{amount:g} {resource}"


def describe_shortage(resource: str, wanted: float, *, free: float, total: float) -> str:
    """Renders what is missing: ``3 nvidia.com/gpu (2 of 4 free)``."""
    amount = describe_amount(resource, wanted)
    if wanted > total and resource != CPU:
        return f"{amount}, more than this host has ({describe_amount(resource, total)})"
    unit = _GIBI if resource == MEMORY else 1
    return f"{amount} ({max(free, 0.0) / unit:.3g} of {total / unit:.3g} free)"
