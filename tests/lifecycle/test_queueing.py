"""Jobs that ask for more than the host has: they queue, all-or-nothing, and say what they wait for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.flags import Flags
from tests.support.manifests import annotated, condition, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

LABEL_DEVICES = "reconciler.trainer.kubeflow.org/devices"
FOLDER = Path("/etc/cdi")


@pytest.fixture
def device() -> Iterator[str]:
    """A device class of this test's own, of three stand-ins."""
    kind = f"rt-{uuid.uuid4().hex[:8]}.example/gpu"
    devices = [
        {"name": name, "containerEdits": {"env": [f"STAND_IN_{name}=yes"]}} for name in ("0", "1", "2")
    ]
    path = FOLDER / f"{kind.replace('/', '-')}.json"
    try:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps({"cdiVersion": "0.3.0", "kind": kind, "devices": devices}))
    except OSError as error:
        pytest.skip(f"CDI specifications can't be written here: {error}")
    yield kind
    path.unlink(missing_ok=True)


def _asking(job: str, script: str, device: str, count: int, **annotations: str) -> dict[str, Any]:
    resources = {"limits": {device: count}}
    return annotated(shell(job, "rt", script, resourcesPerNode=resources), **annotations)


def test_jobs_queue_for_devices_by_index_and_a_restarted_daemon_knows_them(
    podman: Workspace, device: str
) -> None:
    first, big, small = unique("first"), unique("big"), unique("small")
    flags = Flags(podman)
    script = flags.note("$(env | grep STAND_IN | sort | xargs)", "NAME") + flags.wait("NAME.go")
    podman.write("rt.yaml", flags.runtime())
    podman.write("1.yaml", _asking(first, script.replace("NAME", "first"), device, 2))
    with podman.daemon() as daemon:
        flags.until_noted(1, "first")
        podman.until_phase(first, "Running")
        podman.write("2.yaml", _asking(big, script.replace("NAME", "big"), device, 3))
        podman.until_phase(big, "Queued")
        # One device is free, but the big job has waited longer and needs it.
        podman.write("3.yaml", _asking(small, script.replace("NAME", "small"), device, 1))
        waiting = podman.until_phase(small, "Queued")["message"]
        assert "position 1" in podman.status(big)["message"]
        daemon.kill()

    with podman.daemon():
        flags.raise_flag("first.go")
        podman.until_phase(first, "Complete")
        flags.until_noted(1, "big")
        eventually(lambda: podman.phase(big) == "Running", "the big job runs")
        assert podman.phase(small) == "Queued"
        labels = [c["Config"]["Labels"] for c in podman.containers(big)]
        flags.raise_flag("big.go")
        flags.raise_flag("small.go")
        podman.until_phase(small, "Complete")
        podman.until_phase(big, "Complete")

    assert flags.notes("first") == ["STAND_IN_0=yes STAND_IN_1=yes"]
    assert labels[0][LABEL_DEVICES] == ",".join(f"{device}={i}" for i in range(3))
    assert device in waiting
    assert "position 2" in waiting
    assert podman.status(big)["nodes"][0]["devices"] == [f"{device}={i}" for i in range(3)]


def test_two_jobs_share_the_devices_without_overlap(podman: Workspace, device: str) -> None:
    jobs = [unique("one"), unique("two")]
    flags = Flags(podman)
    podman.write("rt.yaml", flags.runtime())
    with podman.daemon():
        for number, job in enumerate(jobs):
            podman.write(f"{number}.yaml", _asking(job, flags.note("up") + flags.wait(), device, number + 1))
        for job in jobs:
            podman.until_phase(job, "Running")
        taken = [d for job in jobs for d in podman.status(job)["nodes"][0]["devices"]]
        flags.raise_flag()
        for job in jobs:
            podman.until_phase(job, "Complete")

    assert sorted(taken) == [f"{device}={i}" for i in range(3)]


def test_more_than_the_host_has_is_said_and_waits(podman: Workspace, device: str) -> None:
    job = unique("greedy")
    podman.write("j.yaml", Flags(podman).runtime(), _asking(job, "true", device, 4))

    podman.cli("run", "--once")

    status = podman.status(job)
    assert status["phase"] == "Queued"
    assert "more than this host has" in status["message"]


def test_max_jobs_lets_them_in_by_priority_then_age(processes: Workspace) -> None:
    flags = Flags(processes)
    script = f"{flags.note('JOB')}{flags.wait('JOB.go')}"
    jobs = {name: unique(name) for name in ("running", "early", "late", "urgent")}

    def add(name: str, **annotations: str) -> None:
        document = shell(jobs[name], "rt", script.replace("JOB", name))
        processes.write(f"{name}.yaml", annotated(document, **annotations))

    processes.write("rt.yaml", flags.runtime())
    with processes.daemon("--max-jobs", "1"):
        add("running")
        flags.until_noted(1)
        for name in ("early", "late"):
            add(name)
            processes.until_phase(jobs[name], "Queued")
        add("urgent", priority="10")
        processes.until_phase(jobs["urgent"], "Queued")
        for name in jobs:
            flags.raise_flag(f"{name}.go")
        for job in jobs.values():
            processes.until_phase(job, "Complete")

    assert flags.notes() == ["running", "urgent", "early", "late"]


@pytest.mark.one_engine
def test_preemption_suspends_the_lesser_job_and_resumes_it_later(containers: Workspace) -> None:
    lesser, urgent = unique("lesser"), unique("urgent")
    flags = Flags(containers)
    containers.write("rt.yaml", flags.runtime())
    containers.write(
        "1.yaml", shell(lesser, "rt", f"{flags.note('lesser $RECONCILER_ATTEMPT')}{flags.wait()}")
    )
    with containers.daemon("--max-jobs", "1", "--preempt"):
        flags.until_noted(1)
        containers.until_phase(lesser, "Running")
        script = f"{flags.note('urgent')}{flags.wait('urgent.go')}"
        containers.write("2.yaml", annotated(shell(urgent, "rt", script), priority="5"))
        flags.until_noted(2)
        waits = containers.until_phase(lesser, "Queued")
        flags.raise_flag("urgent.go")
        containers.until_phase(urgent, "Complete")
        flags.until_noted(3)
        flags.raise_flag()
        containers.until_phase(lesser, "Complete")

    assert flags.notes() == ["lesser 0", "urgent", "lesser 1"]
    assert condition(waits, "Suspended")["reason"] == "Preempted"
    assert urgent in condition(waits, "Suspended")["message"]
