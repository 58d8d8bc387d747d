"""Which paths of the host may be mounted."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.config.policy import Policy
from reconciler.plan.policy.host_mounts import (
    AllowedHostPath,
    HostPaths,
    MountDecision,
    PathInfo,
    check_mount,
)

HOST = HostPaths(
    workspace="/w",
    manifests="/w/specs",
    config="/w/reconciler.yaml",
    protected={"the state": "/w/state", "the socket": "/run/engine.sock"},
    allowed=(AllowedHostPath(real="/srv"), AllowedHostPath(real="/srv/fixed", read_only=True)),
)


def decide(path: str, *, writes: bool = True, kind: Any = "folder", host: HostPaths = HOST) -> MountDecision:
    info = PathInfo(real=path, kind=kind)
    return check_mount(info, info, Policy(), host, manifest_path=path, writable=writes)


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
def test_allowed_paths_and_whether_they_are_read_only(path: str, *, read_only: bool) -> None:
    assert decide(path) == MountDecision(read_only=read_only)


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
def test_denied_paths(path: str) -> None:
    assert decide(path).denial is not None


def test_the_workspace_may_be_read_as_a_whole_unless_it_holds_protected_paths() -> None:
    clean = HostPaths(workspace="/w", manifests="/w/specs", config="/w/reconciler.yaml")

    assert decide("/w", writes=False, host=clean).denial is None
    assert decide("/w", writes=True, host=clean).denial is not None
    assert decide("/w", writes=False).denial is not None, "the state is in it"


def test_paths_that_the_policy_names_are_allowed() -> None:
    named = HostPaths(
        workspace="/w",
        manifests="/w/specs",
        protected={"the logs": "/w/logs"},
        allowed=(AllowedHostPath(real="/w/logs", read_only=True), AllowedHostPath(real="/w/specs/data")),
    )

    assert decide("/w/logs/default", host=named) == MountDecision(read_only=True)
    assert decide("/w/specs/data", host=named) == MountDecision()


def test_devices_have_a_rule_of_their_own() -> None:
    info = PathInfo(real="/w/kmsg", kind="device")
    denied = check_mount(info, info, Policy(), HOST, manifest_path="/w/kmsg", writable=True)
    allowed = check_mount(
        info, info, Policy(device_nodes=("/w/*",)), HOST, manifest_path="/w/kmsg", writable=True
    )

    assert denied.denial is not None
    assert denied.denial.rule == "policy.deviceNodes"
    assert allowed.denial is None
