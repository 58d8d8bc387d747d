"""What the policy refuses of a container."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.job_plan import SecurityPlan
from reconciler.plan.policy.container_rules import image_repository
from tests.plan.policy.plans import broken_rules, plan_with


def test_an_ordinary_container_is_allowed() -> None:
    assert broken_rules(plan_with()) == []


@pytest.mark.parametrize(
    ("security", "rule", "allowed"),
    [
        ({"privileged": True}, "policy.privileged", {"privileged": True}),
        ({"cap_add": ("CAP_BPF",)}, "policy.capabilities", {"capabilities": ["bpf"]}),
        ({"cap_add": ("ALL",)}, "policy.capabilities", {"capabilities": ["ALL"]}),
        ({"seccomp": "unconfined"}, "policy.unconfined", {"unconfined": True}),
        ({"apparmor": "mine"}, "policy.profiles", {"profiles": ["mine"]}),
        ({"proc_mount": "Unmasked"}, "policy.unconfined", {"unconfined": True}),
        ({"selinux": {"role": "x"}}, "policy.unconfined", {"unconfined": True}),
        ({"sysctls": {"net.core.somaxconn": "1"}}, "policy.sysctls", {"sysctls": ["net.core.*"]}),
    ],
)
def test_what_is_denied_by_default_can_be_allowed(security: dict[str, Any], rule: str, allowed: Any) -> None:
    plan = plan_with({"security": SecurityPlan(**security)})

    assert broken_rules(plan) == [rule]
    assert broken_rules(plan, **allowed) == []


@pytest.mark.parametrize(
    "security", [{"cap_add": ("NET_RAW", "chown")}, {"sysctls": {"net.ipv4.tcp_syncookies": "1"}}]
)
def test_defaults_of_the_engines_may_be_asked_for(security: dict[str, Any]) -> None:
    assert broken_rules(plan_with({"security": SecurityPlan(**security)})) == []


@pytest.mark.parametrize(
    ("policy", "container", "rule"),
    [
        ({"privilegeEscalation": False}, {"allow_privilege_escalation": True}, "policy.privilegeEscalation"),
        ({"users": {"root": False}}, {"run_as_user": 0}, "policy.users.root"),
        ({"users": {"ranges": ["5-9"]}}, {"run_as_user": 4}, "policy.users.ranges"),
        ({"users": {"ranges": ["5-9"]}}, {}, "policy.users.ranges"),
        ({"users": {"groups": ["5-9"]}}, {"fs_group": 4}, "policy.users.groups"),
        ({"users": {"groups": ["5-9"]}}, {"supplemental_groups": (5, 10)}, "policy.users.groups"),
    ],
)
def test_what_is_allowed_by_default_can_be_denied(policy: Any, container: dict[str, Any], rule: str) -> None:
    assert broken_rules(plan_with({"security": SecurityPlan(**container)}), **policy) == [rule]


def test_images_are_allowed_by_repository_and_digest() -> None:
    digest = "sha256:" + "0" * 64
    assert broken_rules(plan_with({"image": "python"}), images={"allow": ["docker.io/library/*"]}) == []
    assert broken_rules(plan_with({"image": "evil/python"}), images={"allow": ["docker.io/library/*"]}) == [
        "policy.images.allow"
    ]
    assert broken_rules(plan_with({"image": f"a/b:1@{digest}"}), images={"digest": "required"}) == []
    assert broken_rules(plan_with({"image": "a/b:1"}), images={"digest": "required"}) == [
        "policy.images.digest"
    ]
    assert image_repository("localhost:5000/a/b:1") == "localhost:5000/a/b"
