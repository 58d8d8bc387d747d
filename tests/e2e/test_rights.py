"""Whose a job's files are and which of its limits hold, by who runs the engine: root or an ordinary user."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.engines.podman.podman_engine import PodmanEngine
from reconciler.engines.podman.rootless_limits import UserPrivileges, detect_privileges
from tests.support import images
from tests.support.manifests import UNTIL_TERM, runtime, shell
from tests.support.workspaces import Workspace, unique

pytestmark = pytest.mark.engine

USER = 1000


@pytest.fixture
def workspace(make_workspace) -> Workspace:  # type: ignore[no-untyped-def]
    """A workspace on Podman: root's, or the user's that runs this."""
    made: Workspace = make_workspace("podman")
    return made


def given(workspace: Workspace) -> UserPrivileges:
    engine = PodmanEngine(workspace.url)
    try:
        return detect_privileges(engine.info())
    finally:
        engine.close()


def owner(path: Path) -> int:
    return path.stat().st_uid


def test_files_of_a_job_belong_to_who_runs_podman(workspace: Workspace) -> None:
    job, folder = unique("files"), workspace.root / "data"
    folder.mkdir()
    folder.chmod(0o777)
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    sidecar = {
        "name": "side", "image": images.reference(), "restartPolicy": "Always", **mounts,
        "command": ["sh", "-c", f"touch /data/side; {UNTIL_TERM}"],
    }  # fmt: skip
    rt = runtime(
        "rt",
        images.reference(),
        container=mounts,
        pod={
            "securityContext": {"runAsUser": USER, "runAsGroup": USER},
            "initContainers": [sidecar],
            "volumes": [{"name": "data", "hostPath": {"path": str(folder)}}],
        },
    )
    wait = "until [ -e /data/side ]; do sleep 0.1; done; id -u; touch /data/main"
    workspace.write("j.yaml", rt, shell(job, "rt", wait))

    done = workspace.cli("run", "--wait")

    assert done.returncode == 0, (workspace.said(job), workspace.log(job, 0), done.stderr[-3000:])
    assert workspace.log(job, 0) == f"{USER}\n"
    mapped = os.getuid() if given(workspace).rootless else USER
    assert {owner(folder / name) for name in ("side", "main")} == {mapped}


def test_limits_that_cannot_hold_are_one_event_and_no_failure(workspace: Workspace) -> None:
    job = unique("limits")
    limits = {"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}
    rt = runtime("rt", images.reference(), nodes=2, container=limits)
    workspace.write("j.yaml", rt, shell(job, "rt", "true"))

    done = workspace.cli("run", "--wait")

    assert done.returncode == 0, (workspace.said(job), done.stderr[-3000:])
    told = [e["message"] for e in workspace.status(job)["events"] if e["reason"] == "EngineLimits"]
    can = given(workspace)
    holds = not can.rootless or {"cpu", "memory"} <= can.controllers
    assert len(told) == (0 if holds else 1)
    assert all("cpu" in text and "memory" in text and "reconciler doctor" in text for text in told)


def test_doctor_says_beforehand_what_will_not_hold(workspace: Workspace) -> None:
    network = ("--network-test", "--image", images.reference())

    done = workspace.cli("doctor", "-o", "json", *network)

    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    can = given(workspace)
    holds = not can.rootless or {"cpu", "memory"} <= can.controllers
    assert checks["engine"]["status"] == checks["network test"]["status"] == "ok", checks
    assert checks["limits in containers"]["status"] == ("ok" if holds else "warn")
    assert ("users in containers" in checks) == can.rootless
    if os.getuid() != 0:
        of_the_user = (
            "user namespaces",
            "subuid and subgid ranges",
            "newuidmap and newgidmap",
            "/dev/net/tun",
        )
        assert {checks[name]["status"] for name in of_the_user} == {"ok"}, checks
