"""Jobs that request access to the host: one daemon gets them all, and starts none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engines, images
from tests.support.manifests import condition, runtime, shell
from tests.support.workspaces import Workspace, unique

CANARY = "canary-9f3c71"


def host_path(path: str, *, read_only: bool = False, kind: str = "", sub_path: str = "") -> dict[str, Any]:
    """Returns parts of a pod and a container that mount a path of the host at /host."""
    mount = {"name": "h", "mountPath": "/host"}
    mount |= {"readOnly": True} if read_only else {}
    mount |= {"subPath": sub_path} if sub_path else {}
    source = {"path": path} | ({"type": kind} if kind else {})
    return {"pod": {"volumes": [{"name": "h", "hostPath": source}]}, "container": {"volumeMounts": [mount]}}


def security_context(**context: Any) -> dict[str, Any]:
    return {"container": {"securityContext": context}}


def attacks(root: Path, socket: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns, for each attack, the rule that the status must name, and parts of a runtime. ``root`` is prepared by :func:`prepare`."""
    claim = {"name": "c", "persistentVolumeClaim": {"claimName": "team-b.data"}}
    return {
        "privileged": ("policy.privileged", security_context(privileged=True)),
        "capability": ("policy.capabilities", security_context(capabilities={"add": ["SYS_ADMIN"]})),
        "capability-with-prefix": (
            "policy.capabilities",
            security_context(capabilities={"add": ["cap_sys_ptrace"]}),
        ),
        "every-capability": ("policy.capabilities", security_context(capabilities={"add": ["ALL"]})),
        "host-network": ("policy.hostNetwork", {"pod": {"hostNetwork": True}}),
        "host-pid": ("policy.hostPID", {"pod": {"hostPID": True}}),
        "host-ipc": ("policy.hostIPC", {"pod": {"hostIPC": True}}),
        "root-folder": ("policy.hostPaths", host_path("/", read_only=True)),
        "etc": ("policy.hostPaths", host_path("/etc", read_only=True)),
        "name-begins-alike": ("policy.hostPaths", host_path(f"{root}-evil", read_only=True)),
        "link-out": ("policy.hostPaths", host_path(f"{root}/data/out")),
        "link-of-links": ("policy.hostPaths", host_path(f"{root}/data/chain/x")),
        "sub-path-link": ("policy.hostPaths", host_path(f"{root}/data", sub_path="out")),
        "create-through-link": (
            "policy.hostPaths",
            host_path(f"{root}/data/out/made", kind="DirectoryOrCreate"),
        ),
        "loop": ("policy.hostPaths", host_path(f"{root}/data/loop")),
        "device": ("policy.deviceNodes", host_path(f"{root}/data/kmsg")),
        "engine-socket": ("policy.hostPaths", host_path(socket)),
        "folder-of-socket": ("policy.hostPaths", host_path(str(Path(socket).parent), read_only=True)),
        "secrets-of-state": (
            "policy.hostPaths",
            host_path(f"{root}/state/reconciler/secrets", read_only=True),
        ),
        "kept-logs": ("policy.hostPaths", host_path(f"{root}/state/reconciler/logs", read_only=True)),
        "parent-of-state": ("policy.hostPaths", host_path(f"{root}/state", read_only=True)),
        "parent-of-manifests": ("policy.hostPaths", host_path(str(root))),
        "unconfined": ("policy.unconfined", security_context(seccompProfile={"type": "Unconfined"})),
        "unconfined-by-name": (
            "policy.unconfined",
            security_context(appArmorProfile={"type": "Localhost", "localhostProfile": "unconfined"}),
        ),
        "profile-reads-a-file": (
            "policy.profiles",
            security_context(seccompProfile={"type": "Localhost", "localhostProfile": "/etc/shadow"}),
        ),
        "selinux": ("policy.unconfined", security_context(seLinuxOptions={"type": "spc_t"})),
        "sysctl": (
            "policy.sysctls",
            {"pod": {"securityContext": {"sysctls": [{"name": "kernel.core_pattern", "value": "|/x"}]}}},
        ),
        "claim-of-another-namespace": (
            "policy.claims",
            {"pod": {"volumes": [claim]}, "container": {"volumeMounts": [{"name": "c", "mountPath": "/c"}]}},
        ),
    }


NAMES = sorted(attacks(Path("/x"), "/s"))


def prepare(root: Path) -> None:
    data = root / "data"
    data.mkdir()
    outside = Path(f"{root}-evil")
    outside.mkdir()
    (outside / "secret").write_text(CANARY)
    (data / "out").symlink_to(outside)
    (data / "chain").symlink_to(data / "back")
    (data / "back").symlink_to("../../" + outside.name)
    (data / "loop").symlink_to(data / "loop")
    os.mknod(data / "kmsg", 0o600 | 0o020000, os.makedev(1, 11))


@pytest.fixture(scope="module", params=["podman", "docker"])
def refused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A workspace whose daemon has processed every attack, and the job of each."""
    if os.geteuid() != 0:
        pytest.skip("makes a device node, for which it takes root")
    with engines.using_engines():
        try:
            url = engines.ensure_engine(request.param)
            images.ensure_image(request.param, "base", url=url)
        except (engines.EngineMissing, images.ImageMissing) as error:
            pytest.skip(f"{request.param}: {error}")
        root = tmp_path_factory.mktemp("attacks") / "w"
        workspace = Workspace(root, request.param, url)
        prepare(root)
        jobs = {}
        for name, (_, parts) in attacks(root, url.removeprefix("unix://")).items():
            jobs[name] = unique(name)
            rt = runtime(f"rt-{name}", images.reference(), **parts)
            job = shell(jobs[name], f"rt-{name}", "cat /host/* /host/*/*; echo ran")
            workspace.write(f"{name}.yaml", rt, job)
        try:
            done = workspace.cli("run", "--wait", timeout=200)
            yield workspace, jobs, done
        finally:
            workspace.clean()


@pytest.mark.parametrize("attack", NAMES)
def test_job_fails_and_its_status_names_the_rule(refused: Any, attack: str) -> None:
    workspace, jobs, _ = refused
    rule, _ = attacks(workspace.root, workspace.url.removeprefix("unix://"))[attack]

    status = workspace.status(jobs[attack])

    failed = condition(status, "Failed")
    assert status["phase"] == "Failed", status
    assert failed["reason"] == "PolicyViolation"
    assert rule in failed["message"]
    assert f"rt-{attack}" in failed["message"], "the message names the runtime that asks for it"


def test_nothing_was_created_on_the_engine(refused: Any) -> None:
    workspace, jobs, done = refused

    with workspace.api() as client:
        networks = {network["Name"] for network in client.api.networks()}

    assert done.returncode == 1
    assert workspace.containers() == []
    assert not networks & {f"{job}-net" for job in jobs.values()}
    assert not (workspace.root / "state" / "reconciler" / "logs").exists()
    assert not any(Path(f"{workspace.root}-evil").glob("made"))
    assert CANARY not in done.stdout + done.stderr


def test_validate_names_file_line_path_and_rule(refused: Any) -> None:
    workspace, _, _ = refused

    done = workspace.cli("validate", str(workspace.specs / "privileged.yaml"))

    assert done.returncode == 1
    text = (workspace.specs / "privileged.yaml").read_text().splitlines()
    line = next(n for n, t in enumerate(text, 1) if "privileged: true" in t)
    assert f"privileged.yaml:{line}: spec.template.spec.replicatedJobs[0]" in done.stdout
    assert "securityContext.privileged: PolicyViolation" in done.stdout


def test_diff_lists_refused_jobs(refused: Any) -> None:
    workspace, _, _ = refused
    job = unique("later")
    rt = runtime("rt-later", images.reference(), **security_context(privileged=True))
    path = workspace.write("later.yaml", rt, shell(job, "rt-later", "true"))

    done = workspace.cli("diff")
    path.unlink()

    assert done.returncode == 1
    assert f"refuse job {job}" in done.stdout
    assert "policy.privileged" in done.stdout
    assert f"container {job}" not in done.stdout
