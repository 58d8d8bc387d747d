"""Trainings report their progress, from inside containers, to the daemon that runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.flags import Flags
from tests.support.manifests import annotated, shell, trainjob
from tests.support.reporters import kubeflow_site, transformers_site
from tests.support.workspaces import ROOT, Workspace, eventually, unique

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
    """Writes the script; returns its path inside the nodes."""
    (flags.folder / "report.py").write_text(REPORT)
    return f"{flags.inside}/report.py"


def report(flags: Flags, body: dict[str, Any] | str) -> str:
    """Returns the shell command that sends a report."""
    text = body if isinstance(body, str) else json.dumps(body)
    return f"python3 {reporter(flags)} '{text}'; "


def answers(workspace: Workspace, job: str) -> list[int]:
    """Returns the status codes of the answers to the training."""
    return [int(line.split()[1]) for line in workspace.log(job, 0).splitlines() if line.startswith("ANSWER")]


def percent(workspace: Workspace, job: str) -> int:
    """Returns the percentage in the job's status; -1 while there is none."""
    return int((workspace.status(job).get("trainerStatus") or {}).get("progressPercentage", -1))


def test_reported_progress_is_in_the_status(workspace: Workspace) -> None:
    job = unique("report")
    flags = Flags(workspace)
    script = report(flags, status_of(40, loss=0.5)) + flags.wait() + report(flags, status_of(100, loss=0.1))
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", script))

    with workspace.daemon():
        eventually(lambda: percent(workspace, job) == 40, "the first report is in the status")
        halfway = workspace.status(job)
        flags.raise_flag()
        final = workspace.until_phase(job, "Complete")

    assert halfway["phase"] == "Running"
    assert halfway["trainerStatus"] == {
        "progressPercentage": 40,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.5"}],
        "lastUpdatedTime": "2026-01-02T03:04:05Z",
    }
    # The last report, sent just before the end, is not lost.
    assert final["trainerStatus"]["progressPercentage"] == 100
    assert answers(workspace, job) == [200, 200]
    assert "Warning" not in {event["type"] for event in final["events"] if event["reason"] != "EngineLimits"}


@pytest.mark.one_engine
def test_token_folder_is_read_only(containers: Workspace) -> None:
    job = unique("readonly")
    folder = "/var/run/secrets/kubeflow/trainer"
    script = f"ls {folder} && ! touch {folder}/token && ! touch {folder}/x"
    containers.write("j.yaml", Flags(containers).runtime(), shell(job, "rt", script))

    assert containers.cli("run", "--wait").returncode == 0
    assert containers.log(job, 0).split()[:2] == ["ca.crt", "token"]


@pytest.mark.one_engine
def test_job_reports_after_a_crash_of_the_daemon(workspace: Workspace) -> None:
    _reports_after(workspace, "kill")


def test_job_reports_after_a_restart_of_the_daemon(processes: Workspace) -> None:
    _reports_after(processes, "stop")


def _reports_after(workspace: Workspace, end: str) -> None:
    job = unique("through")
    flags = Flags(workspace)
    # The daemon is back once it answers the job; only the container can see whether it listens.
    second = report(flags, status_of(90)).rstrip("; ")
    again = f"until {second} | grep 'ANSWER 200'; do sleep 0.2; done; "
    script = report(flags, status_of(10)) + flags.wait() + again + flags.wait("end")
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", script))

    with workspace.daemon() as first:
        eventually(lambda: percent(workspace, job) == 10, "the first report")
        getattr(first, end)()
    with workspace.daemon():
        flags.raise_flag()
        eventually(lambda: percent(workspace, job) == 90, "the report after the restart")
        flags.raise_flag("end")
        workspace.until_phase(job, "Complete")

    assert answers(workspace, job) == [200, 200]


@pytest.mark.one_engine
def test_rerun_job_reports_again(workspace: Workspace) -> None:
    job = unique("again")
    flags = Flags(workspace)
    script = f"percent=10; [ -e {flags.inside}/first ] && percent=20; touch {flags.inside}/first; "
    body = json.dumps(status_of(10)).replace(": 10,", ": '$percent',", 1)
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", script + report(flags, body)))

    with workspace.daemon():
        workspace.until_phase(job, "Complete")
        first = percent(workspace, job)
        # Between the runs nothing of the network is left but its name.
        assert workspace.cli("rerun", job).returncode == 0
        eventually(lambda: percent(workspace, job) == 20, "the report of the second run")
        workspace.until_phase(job, "Complete")

    assert first == 10


def test_progress_reports_prevent_a_stall(processes: Workspace) -> None:
    job = unique("alive")
    flags = Flags(processes)
    # No output but reports, for three times the stall timeout.
    script = "".join(report(flags, status_of(n)) + "sleep 1; " for n in range(9))
    quiet = f"exec >/dev/null 2>&1; {script}"
    manifest = annotated(shell(job, "rt", quiet), **{"stall-timeout": "4s"})
    processes.write("j.yaml", flags.runtime(), manifest)

    assert processes.cli("run", "--wait").returncode == 0
    assert percent(processes, job) == 8


def test_progress_is_printed_as_lines_without_a_terminal(processes: Workspace) -> None:
    job = unique("lines")
    flags = Flags(processes)
    script = report(flags, status_of(40, loss=0.123456789)) + flags.wait() + report(flags, status_of(100))
    processes.write("j.yaml", flags.runtime(), shell(job, "rt", script))

    with processes.daemon():
        eventually(lambda: percent(processes, job) == 40, "the first report")
        table = processes.cli("get", "jobs").stdout
        flags.raise_flag()
        waited = processes.cli("wait", job)

    assert "40% 90s left" in table
    assert "loss=0.1235" in table
    assert f"{job}: Complete" in waited.stdout
    assert "100%" in waited.stderr


@pytest.mark.one_engine
def test_client_callbacks_receive_the_progress(containers: Workspace) -> None:
    job = unique("callbacks")
    flags = Flags(containers)
    script = report(flags, status_of(40, loss=0.5)) + flags.wait() + report(flags, status_of(100))
    containers.write("j.yaml", flags.runtime(), shell(job, "rt", script))
    program = containers.root / "watch.py"
    program.write_text(WATCH.format(job=job, flag=f"{flags.inside}/go"))

    with containers.daemon():
        containers.until_phase(job, "Running")
        done = subprocess.run(
            [sys.executable, str(program)],
            env=containers.environment,
            cwd=containers.root,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert [p["progressPercentage"] for p in seen] == [40, 100]
    assert seen[0]["metrics"] == [{"name": "loss", "value": "0.5"}]
    assert f"{job}: Running  40% 90s left  loss=0.5" in done.stderr


#: Prints each progress once, and lets the training continue after the first.
WATCH = """
import json, pathlib
from reconciler.client import ProgressBar, TrainerClient

seen = [None]

def show(job):
    if job.progress and job.progress != seen[-1]:
        seen.append(job.progress)
        print(json.dumps(dict(job.progress)), flush=True)
        pathlib.Path("{flag}").touch()

TrainerClient().wait_for_job_status("{job}", timeout=100, callbacks=[show, ProgressBar()])
"""


# -- libraries that report

SDK = """
import time
from kubeflow.trainer import update_trainjob_status
print("SENT", update_trainjob_status(progress_percent=30, estimated_remaining_seconds=60,
                                     metrics={"loss": 0.25, "epoch": 3, "note": "warm"}), flush=True)
print("THROTTLED", update_trainjob_status(progress_percent=31), flush=True)
"""

CALLBACK = """
import time
from transformers import TrainerControl, TrainerState
from transformers.integrations.integration_utils import KubeflowCallback
from transformers.integrations import get_available_reporting_integrations
print("REPORTS TO", get_available_reporting_integrations(), flush=True)
callback, state, control = KubeflowCallback(), TrainerState(max_steps=16), TrainerControl()
state.epoch = 0.0
callback.on_train_begin(None, state, control)
for step in range(1, 17):  # longer than the five seconds between its reports
    time.sleep(0.4)
    state.global_step, state.epoch = step, step / 16
    callback.on_log(None, state, control, logs={"loss": 1 / step, "learning_rate": 1e-4, "text": "no metric"})
    callback.on_step_end(None, state, control)
callback.on_train_end(None, state, control)
"""


def packaged(workspace: Workspace, site: Path) -> dict[str, Any]:
    """Returns a runtime whose nodes have a folder of Python packages."""
    mounts = [{"name": "site", "mountPath": "/opt/packages", "readOnly": True}]
    return Flags(workspace).runtime(
        container={"volumeMounts": mounts, "env": [{"name": "PYTHONPATH", "value": "/opt/packages"}]},
        pod={"volumes": [{"name": "site", "hostPath": {"path": str(site)}}]},
    )


def own_site(folder: Path) -> Path:
    """Copies this project's package, without its dependencies."""
    shutil.copytree(ROOT / "reconciler", folder / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def python(job: str, code: str) -> dict[str, Any]:
    return trainjob(job, "rt", "python3", "-c", code.replace("$(", "$$("))


@pytest.mark.one_engine
@pytest.mark.slow
@pytest.mark.parametrize("package", ["kubeflow.trainer", "reconciler.client"])
def test_kubeflow_sdk_and_this_client_report_alike(containers: Workspace, package: str) -> None:
    job = unique("sdk")
    site = kubeflow_site() if package == "kubeflow.trainer" else own_site(containers.root / "site")
    code = SDK.replace("kubeflow.trainer", package)
    containers.write("j.yaml", packaged(containers, site), python(job, code))

    done = containers.cli("run", "--wait")

    assert done.returncode == 0, containers.log(job, 0)
    assert containers.log(job, 0).splitlines()[-2:] == ["SENT True", "THROTTLED False"]
    reported = containers.status(job)["trainerStatus"]
    assert (reported["progressPercentage"], reported["estimatedRemainingSeconds"]) == (30, 60)
    assert {m["name"]: m["value"] for m in reported["metrics"]} == {
        "loss": "0.25",
        "epoch": "3",
        "note": "warm",
    }


@pytest.mark.one_engine
@pytest.mark.slow
def test_transformers_callback_reports_unchanged(containers: Workspace) -> None:
    job = unique("callback")
    containers.write("j.yaml", packaged(containers, transformers_site()), python(job, CALLBACK))

    with containers.daemon():
        eventually(lambda: 0 < percent(containers, job) < 100, "a report on the way", seconds=120)
        halfway = containers.status(job)["trainerStatus"]
        final = containers.until_phase(job, "Complete")["trainerStatus"]

    assert "'kubeflow'" in containers.log(job, 0)
    names = {m["name"] for m in halfway["metrics"]}
    assert {"loss", "learning_rate", "current_step", "total_steps", "current_epoch"} <= names
    assert halfway["estimatedRemainingSeconds"] >= 0
    assert (final["progressPercentage"], final["estimatedRemainingSeconds"]) == (100, 0)
    assert {m["name"]: m["value"] for m in final["metrics"]}["loss"] == "0.0625"
