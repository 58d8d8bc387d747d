"""A job as its daemon left it."""

from __future__ import annotations

import pytest

from tests.cli.samples import node, sidecar, trainjob, write


@pytest.fixture
def running(specs):
    """A job with two nodes, one of them ready, and what the daemon wrote of it."""
    write(specs / "job.yaml", trainjob())
    nodes = [node(0), node(1, "restarting", restarts=2, exitCode=1)]
    trainer = {
        "progressPercentage": 40,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.5"}],
    }
    document = sidecar(
        phase="Running",
        attempt=1,
        restarts=1,
        nodes=nodes,
        startTime="2026-01-01T00:00:05.000Z",
        trainerStatus=trainer,
        engine={"name": "podman", "version": "4.3.1"},
        network={"name": "demo-net", "subnet": "10.1.0.0/24"},
        events=[
            {
                "time": "2026-01-01T00:00:05.000Z",
                "type": "Warning",
                "reason": "Failed",
                "message": "rank [1] died",
            }
        ],
        jobsStatus=[{"name": "node", "active": 1, "ready": 0, "succeeded": 0, "failed": 0, "suspended": 0}],
    )
    write(specs / "job.status.yaml", document)
    return specs
