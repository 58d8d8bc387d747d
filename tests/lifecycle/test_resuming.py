"""The resume-from-checkpoint contract, by the example that shows it."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support import images
from tests.support.workspaces import ROOT, Workspace, unique

pytestmark = pytest.mark.engine


@pytest.mark.one_engine
def test_the_resume_example_fails_once_and_goes_on_from_its_checkpoint(workspace: Workspace) -> None:
    job = unique("resume")
    text = (ROOT / "specs" / "examples" / "resume.yaml").read_text()
    text = text.replace("docker.io/library/python:3.11-slim", images.reference())
    rt, trainjob = yaml.safe_load_all(text.replace("claimName: resume", f"claimName: {job}"))
    trainjob["metadata"]["name"] = job
    workspace.write("resume.yaml", rt, trainjob)

    done = workspace.cli("run", "--wait")

    status = workspace.status(job)
    folder = workspace.root / "state" / "reconciler" / "logs" / "default" / job
    first, second = ((folder / str(n) / f"{job}-node-1.log").read_text() for n in range(2))
    if workspace.engine != "process":
        with workspace.api() as client:
            client.volumes.get(job).remove()
    assert done.returncode == 0, (status, first, second)
    assert (status["attempt"], status["restarts"]) == (1, 1)
    assert first.startswith("attempt 0: starts from nothing\n")
    assert "fails on purpose" in first
    assert second.startswith("attempt 1: resumed after epoch 3\n")
    # Together they have done each epoch once, and learnt more than either would have alone.
    assert re.findall(r"epoch=(\d)", first + second) == list("123456")
    assert "done: a=2.999 b=-1.000" in second
