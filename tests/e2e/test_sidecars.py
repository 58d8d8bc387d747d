"""Native sidecars: up before what comes after them, as on a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique

pytestmark = pytest.mark.engine


@pytest.mark.one_engine
def test_the_training_waits_for_its_sidecars_startup_probe(containers: Workspace) -> None:
    job = unique("sidecar")
    shared: dict[str, Any] = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    sidecar = {
        "name": "store",
        "image": images.reference(),
        "restartPolicy": "Always",
        "command": [
            "sh",
            "-c",
            "trap 'exit 0' TERM; sleep 2; echo up > /shared/up; while :; do sleep 0.1; done",
        ],
        "startupProbe": {"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1},
        **shared,
    }
    pod = {"volumes": [{"name": "shared", "emptyDir": {}}], "initContainers": [sidecar]}
    containers.write("rt.yaml", runtime("rt", images.reference(), pod=pod, container=shared))
    containers.write("job.yaml", shell(job, "rt", "cat /shared/up"))

    containers.cli("run", "--wait")

    assert containers.phase(job) == "Complete"
    assert containers.cli("logs", job).stdout == "up\n"
