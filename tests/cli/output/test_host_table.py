"""``reconciler get host``: which jobs hold what and which wait, by sidecars and engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.cli.output import host_table
from reconciler.client.jobs.job_snapshots import Job
from reconciler.state.sidecar_reader import ObjectStatus
from tests.cli.samples import node, sidecar, trainjob, write

GPU = "nvidia.com/gpu"
CAPACITY = host_table.EngineCapacity(
    amounts={"cpu": 8.0, "memory": 16.0 * host_table.GIBI, "jobs": 2.0},
    devices={GPU: ("0", "1", "2", "3")},
    engine="podman 5.0",
)


def job(name: str, **status: Any) -> Job:
    found = ObjectStatus(
        kind="TrainJob",
        namespace="default",
        name=name,
        file=Path(f"{name}.status.yaml"),
        written_at=0.0,
        raw=sidecar(name, **status),
    )
    return Job("default", name, None, found)


def running(name: str, share: dict[str, float], *devices: str) -> Job:
    return job(name, phase="Running", share=share, nodes=[node(0, job=name, devices=list(devices))])


def cells(usage: host_table.HostUsage, resource: str) -> dict[str, str]:
    return next(row.cells for row in host_table.host_rows(usage) if row.cells["RESOURCE"] == resource)


def test_shares_are_added_up_and_holders_named() -> None:
    jobs = [
        running("a", {"cpu": 2.0, GPU: 2.0}, f"{GPU}=0", f"{GPU}=1"),
        running("b", {"cpu": 1.5, "memory": 4.0 * host_table.GIBI, GPU: 1.0}, f"{GPU}=3"),
        job("done", phase="Complete"),
    ]

    usage = host_table.build_usage(jobs, CAPACITY)

    assert cells(usage, GPU) == {
        "RESOURCE": GPU, "CAPACITY": "4", "USED": "3", "FREE": "1", "HELD BY": "a (0, 1); b (3)",
    }  # fmt: skip
    assert cells(usage, "memory")["FREE"] == "12 GiB"
    assert cells(usage, "cpu")["USED"] == "3.5"
    assert cells(usage, "jobs") == {
        "RESOURCE": "jobs", "CAPACITY": "2", "USED": "2", "FREE": "0", "HELD BY": "a; b",
    }  # fmt: skip


def test_waiting_jobs_are_in_the_order_of_the_queue() -> None:
    jobs = [
        job("later", phase="Queued", message="Waits for 1 x; position 10 in the queue."),
        job("next", phase="Queued", message="Waits for 1 x; position 2 in the queue."),
        job("made-room", phase="Queued", message="TrainJob is suspended to make room for default/next"),
    ]

    usage = host_table.build_usage(jobs, CAPACITY)

    assert [row.cells["WAITING"] for row in host_table.waiting_rows(usage)] == ["next", "later", "made-room"]


def test_capacity_is_unknown_without_an_engine(cli: Any, specs: Any, home: Any) -> None:
    write(specs / "a.yaml", trainjob("a"))
    write(
        specs / "a.status.yaml", sidecar("a", phase="Running", share={"cpu": 2.0}, nodes=[node(0, job="a")])
    )

    result = cli(
        "get", "host", "-o", "json", "--engine", "docker", "--container-host", f"unix://{home}/none.sock"
    )

    data = json.loads(result.stdout)
    assert result.exit_code == 0
    cpu = next(r for r in data["resources"] if r["name"] == "cpu")
    assert (cpu["capacity"], cpu["used"], cpu["heldBy"]) == (None, 2.0, [{"job": "a", "devices": []}])
    assert "none.sock" in data["problem"]
    assert "capacity unknown" in result.stderr
