"""A container that a person pauses and unpauses is seen as such at once, not at the next resync.

Docker sends these events before its listing has the new state: an earlier version showed ``paused`` until then.
"""

from __future__ import annotations

import pytest

from tests.support.images import REPOSITORY
from tests.support.manifests import UNTIL_TERM, runtime, trainjob
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.engine]


def _state(workspace: Workspace, job: str) -> str:
    return str(workspace.status(job)["nodes"][0]["state"])


def test_pauses_are_seen_without_a_resync(containers: Workspace) -> None:
    job = unique("pause")
    containers.settings["RESYNC"] = "1h"
    containers.write("runtime.yaml", runtime("own", f"{REPOSITORY}:base"))
    containers.write("job.yaml", trainjob(job, "own", "sh", "-c", UNTIL_TERM))

    with containers.daemon(), containers.api() as client:
        containers.until_phase(job, "Running")
        name = f"{job}-node-0"
        for _ in range(5):
            client.api.pause(name)
            eventually(lambda: _state(containers, job) == "paused", "paused", seconds=20)
            client.api.unpause(name)
            eventually(lambda: _state(containers, job) == "running", "running", seconds=20)
