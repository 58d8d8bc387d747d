"""``get`` and ``describe``: for people and for scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time

import pytest
import yaml

from reconciler.cli.output.console import short_duration
from tests.cli.samples import node, sidecar, trainjob, write


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


@pytest.fixture
def running(specs):
    """A job with two nodes, one of them ready, and what the daemon said of it."""
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


def test_jobs_are_a_table_of_what_people_ask_first(cli, running):
    head, line = rows(cli("get", "jobs").stdout)

    assert head == ["NAME", "PHASE", "NODES", "PROGRESS", "AGE", "DURATION", "RESTARTS", "METRICS", "MESSAGE"]
    assert line[:4] == ["demo", "Running", "1/2", "40% 90s left"]
    assert line[6:] == ["3", "loss=0.5", "rank [1] died"]


def test_a_job_without_status_is_pending_and_an_invalid_one_says_why(cli, specs):
    write(specs / "a.yaml", trainjob("fresh"))
    write(specs / "b.yaml", trainjob("wrong", trainer={"numNodes": -1}))

    fresh, wrong = rows(cli("get", "jobs").stdout)[1:]

    assert fresh[:2] == ["fresh", "Pending"]
    assert "no daemon" in fresh[-1]
    assert wrong[:2] == ["wrong", "Invalid"]


def test_names_in_other_namespaces_are_shown_and_filtered(cli, specs):
    write(specs / "a.yaml", trainjob("one"), trainjob("two", namespace="team-a"))

    assert [line[:2] for line in rows(cli("get", "jobs").stdout)[1:]] == [
        ["default", "one"],
        ["team-a", "two"],
    ]
    assert [line[:2] for line in rows(cli("get", "jobs", "-n", "team-a").stdout)[1:]] == [["team-a", "two"]]
    assert cli("get", "jobs", "team-a/two").exit_code == 0
    assert cli("get", "jobs", "two").exit_code == 0
    assert cli("get", "jobs", "one", "-n", "team-a").exit_code == 1


def test_wide_adds_where_it_runs_and_comes_from(cli, running):
    head, line = rows(cli("get", "jobs", "-o", "wide").stdout)

    found = dict(zip(head, line, strict=True))
    assert found["ENGINE"] == "podman 4.3.1"
    assert found["SUBNET"] == "10.1.0.0/24"
    assert found["RUNTIME"] == "ours"
    assert found["FILE"] == "specs/job.yaml"


def test_data_for_scripts_is_the_object_with_its_status(cli, running):
    one = json.loads(cli("get", "jobs", "demo", "-o", "json").stdout)
    listed = yaml.safe_load(cli("get", "jobs", "-o", "yaml").stdout)

    assert one["metadata"]["uid"] == "u-1"
    assert one["spec"]["runtimeRef"] == {"name": "ours"}
    assert one["status"]["phase"] == "Running"
    assert listed["kind"] == "List"
    assert listed["items"] == [one]
    assert one["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00.000Z"


def test_a_missing_job_is_answered_with_those_there_are(cli, running):
    done = cli("get", "jobs", "dmo")

    assert done.exit_code == 1
    assert "There is no job dmo (did you mean demo?)." in done.stderr
    assert "There are: demo." in done.stderr


def test_nothing_there_is_no_failure(cli, home):
    (home / "specs").mkdir()

    done = cli("get", "jobs")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "There are no jobs here." in done.stderr
    assert json.loads(cli("get", "jobs", "-o", "json").stdout)["items"] == []


def test_nodes_by_rank(cli, running):
    head, first, second = rows(cli("get", "nodes", "demo").stdout)

    assert head == ["RANK", "CONTAINER", "STATE", "IP", "EXIT", "DEVICES"]
    assert first == ["0", "demo-node-0", "running", "10.1.0.2", "-", "-"]
    assert second == ["1", "demo-node-1", "restarting", "10.1.0.3", "1", "-"]
    assert json.loads(cli("get", "nodes", "demo", "-o", "json").stdout)["items"][1]["rank"] == 1


def test_runtimes_of_the_folder_and_built_in(cli, specs):
    lines = rows(cli("get", "runtimes").stdout)[1:]

    assert ["ClusterTrainingRuntime", "-", "ours", "torch", "1", "folder"] in lines
    assert ["ClusterTrainingRuntime", "-", "torch-distributed", "torch", "1", "built-in"] in lines
    assert json.loads(cli("get", "runtimes", "ours", "-o", "json").stdout)["metadata"]["name"] == "ours"
    assert cli("get", "runtimes", "nope").exit_code == 1


def test_a_sidecar_that_cannot_be_read_is_said_and_hides_nothing(cli, running):
    (running / "broken.status.yaml").write_text("a: [\n")

    done = cli("get", "jobs")

    assert done.exit_code == 0
    assert "Running" in done.stdout
    assert "broken.status.yaml cannot be read" in done.stderr


def test_sidecars_are_found_under_the_status_folder(cli, specs, home):
    write(specs / "deep" / "job.yaml", trainjob())
    write(home / "status" / "deep" / "job.status.yaml", sidecar(phase="Queued"))

    done = cli("get", "jobs", "--status-dir", home / "status", "-o", "json")

    assert json.loads(done.stdout)["items"][0]["status"]["phase"] == "Queued"


def test_a_job_whose_manifest_is_gone_is_still_shown(cli, specs):
    write(specs / "job.status.yaml", sidecar(phase="Complete"))

    assert rows(cli("get", "jobs").stdout)[1][:2] == ["demo", "Complete"]


@pytest.mark.parametrize(("form", "mark"), [("table", "Complete"), ("json", '"phase": "Complete"')])
def test_watching_appends_what_changed(running, form, mark):
    """Through a real process: a watch ends only when it is told to."""
    command = [sys.executable, "-m", "reconciler", "get", "jobs", "--watch", "-o", form]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        seen: list[str] = []

        def read() -> None:
            for line in process.stdout:
                seen.append(line)  # noqa: PERF402  (line by line, as they come)

        threading.Thread(target=read, daemon=True).start()
        wait_for(lambda: any("Running" in line for line in seen))

        write(running / "job.status.yaml", sidecar(phase="Complete"))

        wait_for(lambda: any(mark in line for line in seen))
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def test_describe_tells_everything(cli, running):
    done = cli("describe", "demo")

    assert done.exit_code == 0
    for part in (
        *("Phase:", "Running", "Manifest:", "specs/job.yaml", "Runtime:", "ClusterTrainingRuntime/ours"),
        *(
            "podman 4.3.1",
            "demo-net 10.1.0.0/24",
            "demo-node-1",
            "10.1.0.3",
            "rank [1] died",
            "40%",
            "loss:",
            "0.5",
        ),
        *("state/reconciler/logs/default/demo",),
    ):
        assert part in done.stdout, part


def test_describe_shows_the_faults_of_a_manifest(cli, specs):
    write(specs / "job.yaml", trainjob(trainer={"numNodes": -1}))

    done = cli("describe", "demo")

    assert done.exit_code == 0
    assert "Faults:" in done.stdout
    assert "specs/job.yaml:9: spec.trainer.numNodes:" in done.stdout

    # The daemon's status names the file in full.
    told = json.loads(cli("validate", "specs/job.yaml", "-o", "json").stdout)["errors"]
    told = [{**error, "file": str(specs.absolute() / "job.yaml")} for error in told]
    refused = {"file": str(specs.absolute() / "job.yaml"), "line": 0, "path": "spec", "message": "refused"}
    write(specs / "job.status.yaml", sidecar(phase="Invalid", errors=[*told, refused]))
    both = cli("describe", "demo").stdout
    assert both.count("spec.trainer.numNodes:") == done.stdout.count("spec.trainer.numNodes:")
    assert "specs/job.yaml: spec: refused" in both


def test_describe_of_nothing_fails(cli, specs):
    assert cli("describe", "demo").exit_code == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (3600, "60m"),
        (12000, "3h20m"),
        (200000, "2d7h"),
        (-5, "0s"),
    ],
)
def test_durations_are_short(seconds, text):
    assert short_duration(seconds) == text
