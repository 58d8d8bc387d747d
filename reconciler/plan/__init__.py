"""TrainJob and runtime to a plan: network, steps, containers. Pure.

The names below are imported when first used: the plan's types alone cost nothing, the rest needs the
models of :mod:`reconciler.api`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.plan.addresses import plan_addresses
    from reconciler.plan.building import build
    from reconciler.plan.generated import GeneratedSecret, generated_secrets
    from reconciler.plan.hashing import spec_hash
    from reconciler.plan.render import render_job
    from reconciler.plan.resolve import Lookup, Resolved, resolve_container, resolve_files
    from reconciler.plan.serialize import from_data, to_data
    from reconciler.plan.types import JobPlan

_HOMES: Final = {
    "GeneratedSecret": "generated",
    "JobPlan": "types",
    "Lookup": "resolve",
    "Resolved": "resolve",
    "build": "building",
    "from_data": "serialize",
    "generated_secrets": "generated",
    "plan_addresses": "addresses",
    "render_job": "render",
    "resolve_container": "resolve",
    "resolve_files": "resolve",
    "spec_hash": "hashing",
    "to_data": "serialize",
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
