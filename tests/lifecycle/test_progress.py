"""Trainings that report their progress, from inside containers, to the daemon that runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, environment_of, eventually, unique

pytestmark = pytest.mark.engine

#: Posts what it is given, and prints the answer as JSON.
REPORT = """
import json, os, ssl, sys, urllib.error, urllib.request
body = sys.argv[1].encode()
url = os.environ["KUBEFLOW_TRAINER_SERVER_URL"]
token = open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read().strip()
context = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
request = urllib.request.Request(url, data=body, headers={"Authorization": f"Bearer {token}"}, method="POST")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
try:
    with opener.open(request, timeout=20) as answer:
        print("ANSWER", answer.status, answer.read().decode().strip(), flush=True)
except urllib.error.HTTPError as error:
    print("ANSWER", error.code, error.read().decode().strip(), flush=True)
"""


def status_of(percent: int, **metrics: float) -> dict[str, Any]:
    return {
        "trainerStatus": {
            "progressPercentage": percent,
            "estimatedRemainingSeconds": 90,
            "metrics": [{"name": k, "value": str(v)} for k, v in metrics.items()],
            "lastUpdatedTime": "2026-01-02T03:04:05.678+00:00",
        }
    }


def reporter(flags: Flags) -> str:
    """Path of the script, where nodes and test see it."""
    (flags.folder / "report.py").write_text(REPORT)
    return f"{flags.inside}/report.py"


def report(flags: Flags, body: dict[str, Any] | str) -> str:
    """Shell: send a report."""
    text = body if isinstance(body, str) else json.dumps(body)
    return f"python3 {reporter(flags)} '{text}'; "


def test_a_training_reports_and_its_status_shows_it(workspace: Workspace) -> None:
    job = unique("report")
    flags = Flags(workspace)
    script = report(flags, status_of(40, loss=0.5)) + flags.wait("go") + report(flags, status_of(100))
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", script))

    with workspace.daemon():
        workspace.until_phase(job, "Running")
        eventually(
            lambda: workspace.status(job).get("trainerStatus") or "ANSWER" in workspace.log(job, 0),
            "a report",
        )
        print(workspace.log(job, 0), workspace.status(job), workspace.said(job))
        eventually(lambda: workspace.status(job).get("trainerStatus"), "a report")
        if workspace.engine != "process":
            print(environment_of(workspace.containers(job)[0]))
        flags.raise_flag("go")
        final = workspace.until_phase(job, "Complete")
    print(workspace.log(job, 0))
    print(final["trainerStatus"])
    import subprocess

    subprocess.run(["find", str(workspace.root / "state"), "-ls"])
