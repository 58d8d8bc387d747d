"""The outcome of one check of ``reconciler doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of one check, and an entry of ``doctor -o json``.

    Attributes:
        name: of what was checked.
        status: ``warn`` is for what works, but not all of it or not for long.
        detail: what was found.
        remedy: how to fix it; empty when all is well.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def ok(name: str, detail: str) -> Check:
    """Returns the outcome of a check that found nothing wrong."""
    return Check(name=name, status="ok", detail=detail)


def warn(name: str, detail: str, remedy: str = "") -> Check:
    """Returns the outcome of a check that found what works only in part, or not for long."""
    return Check(name=name, status="warn", detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str) -> Check:
    """Returns the outcome of a check that found what keeps jobs from running."""
    return Check(name=name, status="fail", detail=detail, remedy=remedy)
