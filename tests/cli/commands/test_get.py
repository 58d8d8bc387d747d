"""``reconciler get``: tables for people, objects for scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading

import pytest
import yaml

from tests.cli.samples import sidecar, trainjob, write
from tests.support.workspaces import eventually


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {3,}", line.strip()) for line in text.splitlines()]


def test_columns_of_jobs(cli, running):
    head, line = rows(cli("get", "jobs").stdout)

    assert head == ["NAME", "PHASE", "NODES", "PROGRESS", "AGE", "DURATION", "RESTARTS", "METRICS", "MESSAGE"]
    assert line[:4] == ["demo", "Running", "1/2", "40% 90s left"]
    assert line[6:] == ["3", "loss=0.5", "rank [1] died"]


def test_jobs_without_a_status(cli, specs):
    write(specs / "a.yaml", trainjob("fresh"))
    write(specs / "b.yaml", trainjob("wrong", trainer={"numNodes": -1}))

    fresh, wrong = rows(cli("get", "jobs").stdout)[1:]

    assert fresh[:2] == ["fresh", "Pending"]
    assert "no daemon" in fresh[-1]
    assert wrong[:2] == ["wrong", "Invalid"]


def test_namespaces_are_shown_and_filtered(cli, specs):
    write(specs / "a.yaml", trainjob("one"), trainjob("two", namespace="team-a"))

    assert [line[:2] for line in rows(cli("get", "jobs").stdout)[1:]] == [
        ["default", "one"],
        ["team-a", "two"],
    ]
    assert [line[:2] for line in rows(cli("get", "jobs", "-n", "team-a").stdout)[1:]] == [["team-a", "two"]]
    assert cli("get", "jobs", "team-a/two").exit_code == 0
    assert cli("get", "jobs", "two").exit_code == 0
    assert cli("get", "jobs", "one", "-n", "team-a").exit_code == 1


def test_wide_columns_of_jobs(cli, running):
    head, line = rows(cli("get", "jobs", "-o", "wide").stdout)

    found = dict(zip(head, line, strict=True))
    assert found["ENGINE"] == "podman 4.3.1"
    assert found["SUBNET"] == "10.1.0.0/24"
    assert found["RUNTIME"] == "ours"
    assert found["FILE"] == "specs/job.yaml"


def test_json_and_yaml_are_the_object_with_its_status(cli, running):
    one = json.loads(cli("get", "jobs", "demo", "-o", "json").stdout)
    listed = yaml.safe_load(cli("get", "jobs", "-o", "yaml").stdout)

    assert one["metadata"]["uid"] == "u-1"
    assert one["spec"]["runtimeRef"] == {"name": "ours"}
    assert one["status"]["phase"] == "Running"
    assert listed["kind"] == "List"
    assert listed["items"] == [one]
    assert one["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00.000Z"


def test_missing_job_is_answered_with_the_existing_ones(cli, running):
    done = cli("get", "jobs", "dmo")

    assert done.exit_code == 1
    assert "There is no job dmo (did you mean demo?)." in done.stderr
    assert "There are: demo." in done.stderr


def test_empty_folder(cli, home):
    (home / "specs").mkdir()

    done = cli("get", "jobs")

    assert (done.exit_code, done.stdout) == (0, "")
    assert "There are no jobs here." in done.stderr
    assert json.loads(cli("get", "jobs", "-o", "json").stdout)["items"] == []


def test_columns_of_nodes(cli, running):
    head, first, second = rows(cli("get", "nodes", "demo").stdout)

    assert head == ["RANK", "CONTAINER", "STATE", "IP", "EXIT", "DEVICES"]
    assert first == ["0", "demo-node-0", "running", "10.1.0.2", "-", "-"]
    assert second == ["1", "demo-node-1", "restarting", "10.1.0.3", "1", "-"]
    assert json.loads(cli("get", "nodes", "demo", "-o", "json").stdout)["items"][1]["rank"] == 1


def test_columns_of_runtimes(cli, specs):
    lines = rows(cli("get", "runtimes").stdout)[1:]

    assert ["ClusterTrainingRuntime", "-", "ours", "torch", "1", "folder"] in lines
    assert ["ClusterTrainingRuntime", "-", "torch-distributed", "torch", "1", "built-in"] in lines
    assert json.loads(cli("get", "runtimes", "ours", "-o", "json").stdout)["metadata"]["name"] == "ours"
    assert cli("get", "runtimes", "nope").exit_code == 1


def test_unreadable_sidecar_is_a_warning(cli, running):
    (running / "broken.status.yaml").write_text("a: [\n")

    done = cli("get", "jobs")

    assert done.exit_code == 0
    assert "Running" in done.stdout
    assert "broken.status.yaml cannot be read" in done.stderr


def test_sidecars_below_the_status_folder(cli, specs, home):
    write(specs / "deep" / "job.yaml", trainjob())
    write(home / "status" / "deep" / "job.status.yaml", sidecar(phase="Queued"))

    done = cli("get", "jobs", "--status-dir", home / "status", "-o", "json")

    assert json.loads(done.stdout)["items"][0]["status"]["phase"] == "Queued"


def test_job_without_a_manifest(cli, specs):
    write(specs / "job.status.yaml", sidecar(phase="Complete"))

    assert rows(cli("get", "jobs").stdout)[1][:2] == ["demo", "Complete"]


@pytest.mark.parametrize(("form", "mark"), [("table", "Complete"), ("json", '"phase": "Complete"')])
def test_watch_appends_changes(running, form, mark):
    """Through a real process: a watch ends only when it is killed."""
    command = [sys.executable, "-m", "reconciler", "get", "jobs", "--watch", "-o", form]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        seen: list[str] = []

        def read() -> None:
            for line in process.stdout:
                seen.append(line)  # noqa: PERF402  (line by line, as they come)

        threading.Thread(target=read, daemon=True).start()
        eventually(lambda: any("Running" in line for line in seen), "the first state")

        write(running / "job.status.yaml", sidecar(phase="Complete"))

        eventually(lambda: any(mark in line for line in seen), "the change")
    finally:
        process.kill()
        process.wait(timeout=10)
