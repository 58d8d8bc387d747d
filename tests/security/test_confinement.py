"""What containers may do by default and on request, and that common operations still work."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

CANARY = "canary-51d0ab"
#: Of /proc/self/status: bit by number in linux/capability.h.
DROPPED_BITS = {"SETPCAP": 8, "NET_RAW": 13, "MKNOD": 27, "AUDIT_WRITE": 29}


def bits(status: str, key: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith(key))
    return int(line.split()[1], 16)


def test_default_privileges_and_capabilities_and_read_only_manifests(containers: Workspace) -> None:
    job = unique("plain")
    volumes = [
        {"name": "m", "hostPath": {"path": str(containers.specs)}},
        {"name": "d", "hostPath": {"path": str(containers.root / "data"), "type": "DirectoryOrCreate"}},
    ]
    mounts = [{"name": "m", "mountPath": "/manifests"}, {"name": "d", "mountPath": "/data"}]
    script = """
        cat /proc/self/status
        echo spoiled > /manifests/j.yaml || echo manifests-are-read-only
        echo mine > /data/mine
        ping -c1 -W5 127.0.0.1 >/dev/null && echo ping-works
        touch /tmp/f && chown 1000:1000 /tmp/f && echo chown-works
        python3 -c 'import os; os.setgid(1000); os.setuid(1000); print("setuid-works")'
        python3 -c 'import os; os.mknod("/tmp/dev", 0o020600, os.makedev(1, 3))' || echo no-device
    """
    rt = runtime("rt", images.reference(), container={"volumeMounts": mounts}, pod={"volumes": volumes})
    path = containers.write("j.yaml", rt, shell(job, "rt", script))
    before = path.read_bytes()

    done = containers.cli("run", "--wait", timeout=90)

    said = containers.log(job, 0)
    assert done.returncode == 0, (said, containers.said(job))
    assert "NoNewPrivs:\t1" in said
    held = {name for name, bit in DROPPED_BITS.items() if bits(said, "CapBnd") >> bit & 1}
    assert not held
    for works in ("manifests-are-read-only", "ping-works", "chown-works", "setuid-works", "no-device"):
        assert works in said
    assert path.read_bytes() == before
    assert (containers.root / "data" / "mine").read_text() == "mine\n"
    assert "ReadOnly: " in containers.said(job)


def test_requested_privileges_are_granted_within_the_policy(
    containers: Workspace,
) -> None:
    job = unique("asks")
    containers.configure(policy={"capabilities": ["SYS_PTRACE"]})
    context = {"allowPrivilegeEscalation": True, "capabilities": {"add": ["NET_RAW", "SYS_PTRACE"]}}
    rt = runtime("rt", images.reference(), container={"securityContext": context})
    containers.write("j.yaml", rt, shell(job, "rt", "cat /proc/self/status"))

    containers.cli("run", "--wait", timeout=90)

    said = containers.log(job, 0)
    assert "NoNewPrivs:\t0" in said, containers.said(job)
    assert bits(said, "CapBnd") >> 13 & 1, "NET_RAW was asked for, and is of the engines' default set"
    assert bits(said, "CapEff") >> 19 & 1, "SYS_PTRACE was asked for, and is in the policy"


def test_link_swapped_in_under_the_engine_is_never_mounted(containers: Workspace) -> None:
    secret = containers.root.parent / f"{containers.root.name}-secret"
    secret.mkdir()
    (secret / "key").write_text(CANARY)
    place, aside, link = (containers.root / "data" / n for n in ("in", "aside", "link"))
    place.mkdir(parents=True)
    (place / "key").write_text("harmless")
    link.symlink_to(secret)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            place.rename(aside)
            link.rename(place)
            place.rename(link)
            aside.rename(place)

    mount = [{"name": "h", "mountPath": "/in", "readOnly": True}]
    rt = runtime(
        "rt",
        images.reference(),
        nodes=2,
        container={"volumeMounts": mount},
        pod={"volumes": [{"name": "h", "hostPath": {"path": str(place)}}]},
    )
    jobs = [unique("swap") for _ in range(4)]
    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for job in jobs:
            containers.write(f"{job}.yaml", rt if job == jobs[0] else "", shell(job, "rt", "cat /in/key"))
        with containers.daemon():
            for job in jobs:
                eventually(
                    lambda job=job: (
                        containers.phase(job) in {"Complete", "Failed"} or waits_for_recheck(containers, job)
                    ),
                    f"{job} comes to an end, or waits for the next check",
                    seconds=90,
                )
    finally:
        stop.set()
        attacker.join()

    said = "".join(containers.log(job, rank) for job in jobs for rank in range(2))
    assert CANARY not in said
    left = containers.root / "state" / "reconciler" / "held"
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(left) not in mounts, "what was pinned is released"


def waits_for_recheck(workspace: Workspace, job: str) -> bool:
    """Whether the swap was detected, and the job waits for the next check."""
    events = workspace.status(job).get("events") or []
    return any(e["reason"] == "PolicyViolation" for e in events)


def test_sub_path_of_a_host_path_is_mounted(containers: Workspace) -> None:
    job = unique("below")
    data = containers.root / "data" / "deep"
    data.mkdir(parents=True)
    (data / "file").write_text("here")
    mount = {"name": "h", "mountPath": "/in", "subPath": "deep"}
    rt = runtime(
        "rt",
        images.reference(),
        container={"volumeMounts": [mount]},
        pod={"volumes": [{"name": "h", "hostPath": {"path": str(data.parent)}}]},
    )
    containers.write("j.yaml", rt, shell(job, "rt", "cat /in/file && echo out > /in/out"))

    done = containers.cli("run", "--wait", timeout=90)

    assert done.returncode == 0, containers.said(job)
    assert containers.log(job, 0) == "here"
    assert (data / "out").read_text() == "out\n"


@pytest.mark.one_engine
def test_refused_job_runs_once_the_policy_allows_it(containers: Workspace) -> None:
    job = unique("later")
    context = {"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}
    containers.write("j.yaml", runtime("rt", images.reference(), container=context), shell(job, "rt", "true"))
    first = containers.cli("run", "--wait", timeout=60)
    refused = containers.phase(job)
    containers.configure(policy={"capabilities": ["SYS_PTRACE"]})

    second = containers.cli("run", "--wait", timeout=60)

    assert (first.returncode, refused) == (1, "Failed")
    assert second.returncode == 0, containers.said(job)
    assert "the policy that had refused it changed" in containers.said(job)


@pytest.mark.one_engine
def test_stricter_policy_keeps_running_jobs_and_adds_an_event(containers: Workspace) -> None:
    job = unique("runs")
    flags = containers.root / "flags"
    flags.mkdir()
    containers.configure(policy={"capabilities": ["SYS_PTRACE"]})
    parts = {
        "container": {
            "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}},
            "volumeMounts": [{"name": "f", "mountPath": "/f"}],
        },
        "pod": {"volumes": [{"name": "f", "hostPath": {"path": str(flags)}}]},
    }
    script = "while [ ! -e /f/go ]; do sleep 0.1; done"
    containers.write("j.yaml", runtime("rt", images.reference(), **parts), shell(job, "rt", script))
    with containers.daemon():
        containers.until_phase(job, "Running", seconds=90)
    containers.configure(policy={})

    with containers.daemon():
        eventually(lambda: "PolicyChanged" in containers.said(job), "the event for the stricter policy")
        assert containers.phase(job) == "Running"
        (flags / "go").touch()
        containers.until_phase(job, "Complete", seconds=90)
