"""The verdict over a plan: pure, so that every rule is tried here without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.config.policy import Policy
from reconciler.plan.field_locations import origin_of
from reconciler.plan.job_plan import (
    ContainerPlan,
    JobPlan,
    PodPlan,
    ResourcePlan,
    SecurityPlan,
    StepPlan,
)
from reconciler.plan.policy.host_mounts import Grounds, PathFacts, Prefix, Ruling, rule_on_mount
from reconciler.plan.policy.violations import image_violations, repository, violations
from tests.support.manifests import runtime, trainjob

GROUNDS = Grounds(
    workspace="/w",
    manifests="/w/specs",
    config="/w/reconciler.yaml",
    kept={"the state": "/w/state", "the socket": "/run/engine.sock"},
    prefixes=(Prefix(real="/srv"), Prefix(real="/srv/fixed", read_only=True)),
)


def plan(container: Mapping[str, Any] | None = None, *, nodes: int = 1, **pod: Any) -> JobPlan:
    one = ContainerPlan(
        name="j-node-0",
        container="node",
        kind="main",
        primary=True,
        **{"image": "python:3", **(container or {})},
    )
    instances = tuple(
        PodPlan(
            step="node", index=n, rank=n, name=f"j-node-{n}", hostname=f"j-node-{n}", containers=(one,), **pod
        )
        for n in range(nodes)
    )
    steps = (StepPlan(name="node", pods=instances),)
    return JobPlan(namespace="default", name="j", nodes=nodes, network="j-net", steps=steps)


def rules(made: JobPlan, **policy: Any) -> list[str]:
    return [v.rule for v in violations(made, Policy.model_validate(policy), GROUNDS, {})]


def test_an_ordinary_job_is_let_through() -> None:
    assert rules(plan()) == []


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
def test_what_is_denied_by_default_can_be_let(security: dict[str, Any], rule: str, allowed: Any) -> None:
    made = plan({"security": SecurityPlan(**security)})

    assert rules(made) == [rule]
    assert rules(made, **allowed) == []


@pytest.mark.parametrize(
    "security", [{"cap_add": ("NET_RAW", "chown")}, {"sysctls": {"net.ipv4.tcp_syncookies": "1"}}]
)
def test_what_the_engines_give_anyway_may_be_asked_for(security: dict[str, Any]) -> None:
    assert rules(plan({"security": SecurityPlan(**security)})) == []


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
def test_what_is_let_by_default_can_be_denied(policy: Any, container: dict[str, Any], rule: str) -> None:
    assert rules(plan({"security": SecurityPlan(**container)}), **policy) == [rule]


@pytest.mark.parametrize("user", ["", "root", "0", "0:1000", "00", "root:app", ":5"])
def test_an_image_that_runs_as_root_is_refused_where_root_is(user: str) -> None:
    assert by_image(user, root=False) == ["policy.users.root"]
    assert by_image(user, root=True) == []


@pytest.mark.parametrize("user", ["app", "+0", "-1", "\u0660", "1e3", "4294967296", "1000 ", "r\u03bfot"])
def test_a_user_of_an_image_that_is_no_number_may_be_root(user: str) -> None:
    assert by_image(user, root=False) == ["policy.users.root"]


@pytest.mark.parametrize("user", ["1", "1000", "1000:0", "65534:app"])
def test_an_image_that_runs_as_somebody_else_needs_no_user_in_the_manifest(user: str) -> None:
    assert by_image(user, root=False) == []
    assert by_image(user, root=True, run_as_non_root=True) == []


def test_a_manifest_that_wants_no_root_is_held_to_it_whatever_the_policy() -> None:
    assert by_image("", root=True, run_as_non_root=True) == ["runAsNonRoot"]
    assert by_image("app", root=True, run_as_non_root=True) == ["runAsNonRoot"]
    assert by_image("", root=False, run_as_non_root=True, run_as_user=7) == []
    assert by_image(None, root=False) == []


def by_image(user: str | None, *, root: bool, **security: Any) -> list[str]:
    """The rules that a container breaks by the user of its image."""
    made = plan({"image": "one", "security": SecurityPlan(**security)})
    policy = Policy.model_validate({"users": {"root": root}})
    return [violation.rule for violation in image_violations(made, policy, {"one": user})]


def test_images_go_by_repository_and_digest() -> None:
    digest = "sha256:" + "0" * 64
    assert rules(plan({"image": "python"}), images={"allow": ["docker.io/library/*"]}) == []
    assert rules(plan({"image": "evil/python"}), images={"allow": ["docker.io/library/*"]}) == [
        "policy.images.allow"
    ]
    assert rules(plan({"image": f"a/b:1@{digest}"}), images={"digest": "required"}) == []
    assert rules(plan({"image": "a/b:1"}), images={"digest": "required"}) == ["policy.images.digest"]
    assert repository("localhost:5000/a/b:1") == "localhost:5000/a/b"


def test_a_maximum_is_of_the_whole_job_and_needs_limits() -> None:
    limited = {"resources": ResourcePlan(cpu_limit=2, memory_limit=1024, devices={"nvidia.com/gpu": 1})}
    most = {"nodes": 2, "cpu": "4", "memory": "2Ki", "gpus": 2}

    assert rules(plan(limited, nodes=2), maximum=most) == []
    assert rules(plan(limited, nodes=3), maximum=most) == [
        f"policy.maximum.{rule}" for rule in ("nodes", "gpus", "cpu", "memory")
    ]
    assert rules(plan(nodes=1), maximum={"memory": "1Gi"}) == ["policy.maximum.memory"]


def test_the_host_is_not_shared() -> None:
    made = plan(host_network=True, host_pid=True, host_ipc=True)

    assert rules(made) == ["policy.hostNetwork", "policy.hostPID", "policy.hostIPC"]
    assert rules(made, hostNetwork=True, hostPID=True, hostIPC=True) == []


def judged(path: str, *, writes: bool = True, kind: Any = "folder", grounds: Grounds = GROUNDS) -> Ruling:
    facts = PathFacts(real=path, kind=kind)
    return rule_on_mount(facts, facts, Policy(), grounds, shown=path, writes=writes)


@pytest.mark.parametrize(
    ("path", "read_only"),
    [
        ("/w/data", False),
        ("/w/specs", True),
        ("/w/specs/data", True),
        ("/w/reconciler.yaml", True),
        ("/srv/x", False),
        ("/srv/fixed/x", True),
    ],
)
def test_what_may_be_mounted_and_how(path: str, *, read_only: bool) -> None:
    assert judged(path) == Ruling(read_only=read_only)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/etc",
        "/w2",
        "/w",
        "/w/state",
        "/w/state/secrets",
        "/run/engine.sock",
        "/run",
        "/srvx",
        "/proc/1/root",
    ],
)
def test_what_may_not_be_mounted(path: str) -> None:
    assert judged(path).refusal is not None


def test_the_workspace_may_be_read_as_a_whole_but_for_what_is_kept_in_it() -> None:
    clean = Grounds(workspace="/w", manifests="/w/specs", config="/w/reconciler.yaml")

    assert judged("/w", writes=False, grounds=clean).refusal is None
    assert judged("/w", writes=True, grounds=clean).refusal is not None
    assert judged("/w", writes=False).refusal is not None, "the state is in it"


def test_what_the_policy_names_itself_is_mounted() -> None:
    named = Grounds(
        workspace="/w",
        manifests="/w/specs",
        kept={"the logs": "/w/logs"},
        prefixes=(Prefix(real="/w/logs", read_only=True), Prefix(real="/w/specs/data")),
    )

    assert judged("/w/logs/default", grounds=named) == Ruling(read_only=True)
    assert judged("/w/specs/data", grounds=named) == Ruling()


def test_a_device_goes_by_its_own_rule_wherever_it_is() -> None:
    facts = PathFacts(real="/w/kmsg", kind="device")
    refused = rule_on_mount(facts, facts, Policy(), GROUNDS, shown="/w/kmsg", writes=True)
    let = rule_on_mount(facts, facts, Policy(device_nodes=("/w/*",)), GROUNDS, shown="/w/kmsg", writes=True)

    assert refused.refusal is not None
    assert refused.refusal[0] == "policy.deviceNodes"
    assert let.refusal is None


def test_a_field_is_found_where_it_wins() -> None:
    made = runtime("rt", "image", container={"securityContext": {"privileged": True}}, pod={"hostPID": True})
    patch = {
        "replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": {"hostPID": True}}}}}]
    }
    job = trainjob("j", "rt", image="mine")
    job["spec"]["runtimePatches"] = [{"manager": "m", "trainingRuntimeSpec": {"template": {"spec": patch}}}]

    def place(*field: str) -> tuple[str, str]:
        found = origin_of("node", field, job=job, runtime=made)
        return found.document, found.path

    pod = "template.spec.template.spec"
    assert place("containers", "node", "image") == ("job", "spec.trainer.image")
    assert place("hostPID") == (
        "job",
        f"spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].{pod}.hostPID",
    )
    assert place("containers", "node", "securityContext", "privileged") == (
        "runtime",
        f"spec.template.spec.replicatedJobs[0].{pod}.containers[0].securityContext.privileged",
    )
    assert place("sysctls") == ("job", "spec.runtimeRef")
