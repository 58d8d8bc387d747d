"""The network of a job: created, or found as an earlier create has left it; another owner's is left alone."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.placement import object_labels
from reconciler.controller.statemachine.actions import NAME_TAKEN, ActionResult
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import NetworkSpec
from reconciler.errors import Conflict, NotFound
from reconciler.names import LABEL_INSTANCE, job_key_of
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

_log = structlog.get_logger(__name__)


def ensure_network(
    plan: JobPlan, record: Record, network: NetworkState | None, context: ExecutionContext
) -> ActionResult:
    """Create the job's network unless it exists."""
    if network is None:
        addresses = sum(not pod.host_network for pod in plan.pods)
        spec = NetworkSpec(
            name=plan.network, labels=object_labels(record, context.host), min_addresses=max(addresses, 1)
        )
        try:
            network = context.engine.create_network(spec)
            _log.info("network created", network=plan.network, subnet=network.subnet)
        except Conflict:
            return _existing_network(plan, context)
    return ActionResult(network=network)


def describe_conflict(kind: str, name: str, labels: Mapping[str, str], context: ExecutionContext) -> str:
    """A sentence about who owns the network or container that has the name, with the remedy."""
    owner = labels.get(LABEL_INSTANCE)
    remedy = "Give the job another name"
    if owner == context.host.instance:
        who = f"another job of this folder, {job_key_of(labels)}"
    else:
        who = f"the reconciler of another specs folder (instance {owner})" if owner else "somebody else"
        if (tool := context.engine.name) in {"podman", "docker"}:
            remove = f"{tool} network rm {name}" if kind == "network" else f"{tool} rm {name}"
            remedy += f", or remove it yourself (`{remove}`)"
    return f"A {kind} named {name} exists and belongs to {who}; it is left alone. {remedy}."


def _existing_network(plan: JobPlan, context: ExecutionContext) -> ActionResult:
    """The name is taken: by the job itself (a create that timed out after it worked), or by another owner."""
    try:
        found = context.engine.inspect_network(plan.network)
    except NotFound:
        message = f"The network {plan.network} was taken and is free again; trying again."
        return ActionResult(problem=("NetworkConflict", message))
    if all(found.labels.get(k) == v for k, v in context.selector.items()):
        if not found.subnet:
            return ActionResult(problem=("NetworkConflict", f"The network {plan.network} has no subnet."))
        return ActionResult(network=found)
    message = describe_conflict("network", plan.network, found.labels, context)
    return ActionResult(problem=(NAME_TAKEN, message))
