"""Containers that run as the user of their image."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.config.policy import Policy
from reconciler.plan.job_plan import SecurityPlan
from reconciler.plan.policy.image_users import find_image_violations
from tests.plan.policy.plans import plan_with


def rules_broken_by_image_user(user: str | None, *, root: bool, **security: Any) -> list[str]:
    """The rules that a container breaks by the user of its image."""
    plan = plan_with({"image": "one", "security": SecurityPlan(**security)})
    policy = Policy.model_validate({"users": {"root": root}})
    return [violation.rule for violation in find_image_violations(plan, policy, {"one": user})]


@pytest.mark.parametrize("user", ["", "root", "0", "0:1000", "00", "root:app", ":5"])
def test_an_image_that_runs_as_root_is_refused_where_root_is(user: str) -> None:
    assert rules_broken_by_image_user(user, root=False) == ["policy.users.root"]
    assert rules_broken_by_image_user(user, root=True) == []


@pytest.mark.parametrize("user", ["app", "+0", "-1", "\u0660", "1e3", "4294967296", "1000 ", "r\u03bfot"])
def test_an_image_user_that_is_no_number_counts_as_root(user: str) -> None:
    assert rules_broken_by_image_user(user, root=False) == ["policy.users.root"]


@pytest.mark.parametrize("user", ["1", "1000", "1000:0", "65534:app"])
def test_an_image_user_that_is_not_root_is_allowed(user: str) -> None:
    assert rules_broken_by_image_user(user, root=False) == []
    assert rules_broken_by_image_user(user, root=True, run_as_non_root=True) == []


def test_run_as_non_root_counts_whatever_the_policy() -> None:
    assert rules_broken_by_image_user("", root=True, run_as_non_root=True) == ["runAsNonRoot"]
    assert rules_broken_by_image_user("app", root=True, run_as_non_root=True) == ["runAsNonRoot"]
    assert rules_broken_by_image_user("", root=False, run_as_non_root=True, run_as_user=7) == []
    assert rules_broken_by_image_user(None, root=False) == []
