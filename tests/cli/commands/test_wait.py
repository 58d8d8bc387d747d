"""``wait``: what ends it, and with which exit status."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reconciler.cli.commands.wait import INVALID_GRACE, find_outcome
from reconciler.cli.job_lookup import read_snapshot
from reconciler.client.jobs.job_snapshots import Job
from reconciler.config.settings import Settings
from reconciler.state.record import Record
from reconciler.state.record_store import RecordStore
from tests.cli.samples import node, sidecar, trainjob, write

FAILED = {
    "type": "Failed",
    "status": "True",
    "reason": "FailedJobs",
    "message": "jobset failed",
    "lastTransitionTime": "2026-01-01T00:01:00.000Z",
}
RERUN = "reconciler.trainer.kubeflow.org/rerun"


def job_with(specs: Path, *, annotations: dict[str, str] | None = None, **status) -> Job:
    manifest = trainjob()
    if annotations:
        manifest["metadata"]["annotations"] = annotations
    write(specs / "job.yaml", manifest)
    write(specs / "job.status.yaml", sidecar(**status))
    return read_snapshot(Settings(specs=specs)).find("demo")


def exit_status(
    job: Job, goal: str = "Complete", *, now: float | None = None, settings: Settings | None = None
):
    found = find_outcome(
        job, goal, now=now if now is not None else time.time(), settings=settings or Settings()
    )
    return None if found is None else found.status


@pytest.mark.parametrize(
    ("phase", "goal", "status"),
    [
        ("Complete", "Complete", 0),
        ("Failed", "Complete", 1),
        ("Invalid", "Complete", 1),
        ("Running", "Complete", None),
        ("Suspended", "Complete", None),
        ("Failed", "Failed", 0),
        ("Complete", "Failed", 1),
        ("Failed", "Finished", 0),
        ("Running", "Running", 0),
        ("Complete", "Running", 1),
        ("Suspended", "Suspended", 0),
        ("Complete", "delete", None),
    ],
)
def test_phases_that_end_the_wait(specs, phase, goal, status):
    assert exit_status(job_with(specs, phase=phase), goal) == status


def test_job_without_a_status_is_waited_for(specs):
    write(specs / "job.yaml", trainjob())

    assert exit_status(read_snapshot(Settings(specs=specs)).find("demo")) is None


def test_message_names_the_rank_that_failed_first(specs):
    nodes = [
        node(0, "exited", exitCode=137, finishedAt="2026-01-01T00:00:59.000Z"),
        node(1, "exited", exitCode=3, finishedAt="2026-01-01T00:00:50.000Z", log="/logs/1.log"),
    ]
    job = job_with(specs, phase="Failed", conditions=[FAILED], nodes=nodes)

    found = find_outcome(job, "Complete", now=0, settings=Settings())

    assert found is not None
    assert "demo: Failed after 50s: jobset failed" in found.message
    assert "rank 1 (demo-node-1) exited with 3; its log: /logs/1.log" in found.message


def test_end_before_the_last_rerun_is_ignored(specs):
    over = {"phase": "Failed", "conditions": [FAILED]}

    later = job_with(specs, annotations={RERUN: "2026-01-01T00:02:00.000000Z"}, **over)
    assert exit_status(later) is None

    earlier = job_with(specs, annotations={RERUN: "2026-01-01T00:00:30.000000Z"}, **over)
    assert exit_status(earlier) == 1


def test_record_says_which_rerun_has_begun(specs, tmp_path):
    token = "2026-01-01T00:02:00.000000Z"
    job = job_with(specs, annotations={RERUN: token}, phase="Failed", conditions=[FAILED])
    settings = Settings(specs=specs, state_dir=tmp_path)
    store = RecordStore(tmp_path / "records" / settings.instance)
    record = Record(namespace="default", name="demo", uid="u", created_at=0, rerun="before")

    store.save(record)
    assert exit_status(job, settings=settings) is None

    store.save(record.model_copy(update={"rerun": token}))
    assert exit_status(job, settings=settings) == 1


def test_invalid_older_than_the_manifest_is_ignored_for_a_moment(specs):
    job = job_with(specs, phase="Invalid")
    changed = time.time() + 10
    os.utime(specs / "job.yaml", (changed, changed))

    assert exit_status(job, now=changed + INVALID_GRACE / 2) is None
    assert exit_status(job, now=changed + INVALID_GRACE * 2) == 1


def test_exit_status_and_message(cli, specs):
    job_with(specs, phase="Complete")
    done = cli("wait", "demo")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("demo: Complete")

    job_with(specs, phase="Failed", conditions=[FAILED])
    done = cli("wait", "demo")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "demo: Failed: jobset failed" in done.stderr


def test_timeout_exits_with_124(cli, specs):
    job_with(specs, phase="Pending", message="image x: not found")

    done = cli("wait", "demo", "--timeout", "0.1")

    assert done.exit_code == 124
    assert "it is still Pending: image x: not found" in done.stderr


def test_missing_job(cli, specs):
    assert cli("wait", "demo", "--timeout", "20").exit_code == 1
    assert cli("wait", "demo", "--for", "delete").exit_code == 0


def test_returns_when_the_status_is_written(cli, specs):
    job_with(specs, phase="Running")
    timer = threading.Timer(0.3, lambda: write(specs / "job.status.yaml", sidecar(phase="Complete")))
    timer.start()

    done = cli("wait", "demo", "--timeout", "30")

    timer.join()
    assert done.exit_code == 0


def test_kubectls_spelling_of_phases(cli, specs):
    job_with(specs, phase="Complete")

    assert cli("wait", "demo", "--for", "condition=complete").exit_code == 0
    assert cli("wait", "trainjob/demo", "--for=COMPLETE").exit_code == 0
