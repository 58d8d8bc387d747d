"""A plan as plain data and back, for engines that take a whole job.

``from_data(to_data(plan)) == plan``. What can go wrong: data of another version. A field that no longer
exists is an error; a field that is newer than the data has its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.errors import PlanError
from reconciler.plan.job_plan import JobPlan

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@cache
def _adapter() -> TypeAdapter[JobPlan]:
    from pydantic import TypeAdapter  # noqa: PLC0415  (60 ms that reading a plan's types should not cost)

    return TypeAdapter(JobPlan)


def to_data(plan: JobPlan, *, compact: bool = False) -> dict[str, Any]:
    """Converts a plan to JSON values; ``compact`` leaves out fields at their defaults."""
    data: dict[str, Any] = _adapter().dump_python(plan, mode="json", exclude_defaults=compact)
    return data


def from_data(data: Mapping[str, Any]) -> JobPlan:
    """Converts the result of :func:`to_data` back to a plan.

    Raises:
        PlanError: the data is no plan of this version.
    """
    try:
        return _adapter().validate_python(dict(data))
    except ValueError as error:
        raise PlanError(f"The stored plan cannot be read: {error}") from error
