"""A typo is corrected in place: until something of a job has started, an edited file is the job made anew.

An earlier version refused the correction as a change of an immutable field, or, in the runtime, did not see it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.images import REPOSITORY
from tests.support.manifests import UNTIL_TERM, runtime, trainjob
from tests.support.workspaces import Workspace, eventually, unique

IMAGE = f"{REPOSITORY}:base"
ABSENT = "localhost:1/no/such:1"


def _uid(workspace: Workspace, job: str) -> str:
    found = [d for d in workspace.documents() if d["metadata"]["name"] == job]
    return str(found[0]["metadata"].get("uid", "")) if found else ""


def _generation(workspace: Workspace, job: str) -> int:
    (document,) = (d for d in workspace.documents() if d["metadata"]["name"] == job)
    return int(document["metadata"]["generation"])


def _waits_for(workspace: Workspace, job: str, reason: str) -> str:
    """Waits until the job says what it waits for; its uid."""
    eventually(lambda: reason in workspace.said(job), f"{job}: {reason}")
    return _uid(workspace, job)


@pytest.mark.engine
@pytest.mark.one_engine
@pytest.mark.parametrize("place", ["job", "runtime"])
def test_a_corrected_image(containers: Workspace, place: str) -> None:
    job = unique("typo")
    good = IMAGE
    wrong = {"job": (good, {"image": ABSENT}), "runtime": (ABSENT, {})}[place]
    right = {"job": (good, {"image": good}), "runtime": (good, {})}[place]
    containers.write("runtime.yaml", runtime("own", wrong[0]))
    containers.write("job.yaml", trainjob(job, "own", "true", **wrong[1]))

    with containers.daemon():
        before = _waits_for(containers, job, "ImageUnavailable")
        containers.write("runtime.yaml", runtime("own", right[0]))
        containers.write("job.yaml", trainjob(job, "own", "true", **right[1]))
        containers.until_phase(job, "Complete")

    assert _uid(containers, job) != before
    assert _generation(containers, job) == 1
    assert "before anything of it ran" in containers.said(job)


@pytest.mark.engine
@pytest.mark.one_engine
def test_a_corrected_path(containers: Workspace) -> None:
    job = unique("path")
    volume: dict[str, Any] = {"name": "v", "hostPath": {"path": str(containers.root / "dta")}}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}

    def write() -> None:
        pod = {"volumes": [volume]}
        containers.write("runtime.yaml", runtime("own", IMAGE, container=mounts, pod=pod))

    write()
    (containers.root / "data").mkdir()
    containers.write("job.yaml", trainjob(job, "own", "true"))

    with containers.daemon():
        eventually(lambda: "dta" in containers.said(job), "the path is missed")
        volume["hostPath"]["path"] = str(containers.root / "data")
        write()
        containers.until_phase(job, "Complete")


def test_a_corrected_command_that_the_engine_could_not_start(processes: Workspace) -> None:
    job = unique("command")
    again = {"backoffLimit": 6}
    processes.write("runtime.yaml", runtime("own", "any", job=again, pod={"restartPolicy": "OnFailure"}))
    processes.write("job.yaml", trainjob(job, "own", "/usr/bin/no-such-program"))

    with processes.daemon():
        before = _waits_for(processes, job, "StartFailed")
        processes.write("job.yaml", trainjob(job, "own", "true"))
        processes.until_phase(job, "Complete")

    assert _uid(processes, job) != before


def test_a_job_that_has_started_keeps_its_command(processes: Workspace) -> None:
    job = unique("running")
    processes.write("runtime.yaml", runtime("own", "any"))
    processes.write("job.yaml", trainjob(job, "own", "sh", "-c", UNTIL_TERM))

    with processes.daemon():
        processes.until_phase(job, "Running")
        before = _uid(processes, job)
        processes.write("job.yaml", trainjob(job, "own", "true"))
        eventually(lambda: "UpdateRefused" in processes.said(job), "the change is refused")
        (error,) = processes.status(job)["errors"]

    assert _uid(processes, job) == before
    assert processes.phase(job) == "Running"
    assert error["path"] == "spec.trainer"
    assert error["line"] == 8


def test_a_queued_job_is_corrected_and_runs_in_its_turn(processes: Workspace) -> None:
    first, second = unique("first"), unique("second")
    processes.settings["MAX_JOBS"] = "1"
    processes.write("runtime.yaml", runtime("own", "any"))
    processes.write("a.yaml", trainjob(first, "own", "sh", "-c", UNTIL_TERM))

    with processes.daemon():
        processes.until_phase(first, "Running")
        processes.write("b.yaml", trainjob(second, "own", "sh", "-c", "exit 7"))
        processes.until_phase(second, "Queued")
        before = _uid(processes, second)
        processes.write("b.yaml", trainjob(second, "own", "true"))
        eventually(lambda: _uid(processes, second) not in ("", before), "the job is made anew")
        assert processes.phase(second) == "Queued"
        processes.cli("delete", first)
        processes.until_phase(second, "Complete")


def test_a_start_that_a_killed_daemon_did_not_record_counts(processes: Workspace) -> None:
    job = unique("crash")
    processes.write("runtime.yaml", runtime("own", "any"))
    processes.write("job.yaml", trainjob(job, "own", "sh", "-c", UNTIL_TERM))
    with processes.daemon() as daemon:
        processes.until_phase(job, "Running")
        daemon.kill()
        before = _uid(processes, job)

    processes.write("job.yaml", trainjob(job, "own", "true"))
    with processes.daemon():
        eventually(lambda: "UpdateRefused" in processes.said(job), "the change is refused")

    assert _uid(processes, job) == before


def test_a_change_before_the_start_is_named_by_validate(processes: Workspace) -> None:
    old = processes.root / "old.yaml"
    new = processes.write("job.yaml", trainjob("demo", "plain", "true"))
    old.write_text(new.read_text().replace("true", "false").replace("'false'", "'no'"))

    done = processes.cli("validate", str(new), "--against", str(old))

    assert done.returncode == 1
    assert "field is immutable" in done.stdout
    assert "made anew" in done.stdout
