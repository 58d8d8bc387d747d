"""TrainJob and runtime to a plan: network, steps, containers. Pure.

The names below are imported when first used: the plan's types alone cost nothing, the rest needs the
models of :mod:`reconciler.api`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.plan.addresses import plan_addresses
    from reconciler.plan.builder import build
    from reconciler.plan.hashing import spec_hash
    from reconciler.plan.job_plan import JobPlan
    from reconciler.plan.plan_json import render_job
    from reconciler.plan.required_secrets import GeneratedSecret, generated_secrets
    from reconciler.plan.resolver import Lookup, Resolved, resolve_container, resolve_files
    from reconciler.plan.serialization import from_data, to_data

_HOMES: Final = {
    "GeneratedSecret": "required_secrets",
    "JobPlan": "job_plan",
    "Lookup": "resolver",
    "Resolved": "resolver",
    "build": "builder",
    "from_data": "serialization",
    "generated_secrets": "required_secrets",
    "plan_addresses": "addresses",
    "render_job": "plan_json",
    "resolve_container": "resolver",
    "resolve_files": "resolver",
    "spec_hash": "hashing",
    "to_data": "serialization",
}

__all__ = [
    "GeneratedSecret",
    "JobPlan",
    "Lookup",
    "Resolved",
    "build",
    "from_data",
    "generated_secrets",
    "plan_addresses",
    "render_job",
    "resolve_container",
    "resolve_files",
    "spec_hash",
    "to_data",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
