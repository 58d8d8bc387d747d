"""``wait``: what ends it, and with which exit status."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from reconciler.cli.commands.wait import GRACE, judge
from reconciler.cli.job_lookup import Job, take
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
    return take(Settings(specs=specs)).find("demo")


def verdict(job: Job, goal: str = "Complete", *, now: float | None = None, settings: Settings | None = None):
    found = judge(job, goal, now=now if now is not None else time.time(), settings=settings or Settings())
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
def test_phases_end_the_wait(specs, phase, goal, status):
    assert verdict(job_with(specs, phase=phase), goal) == status


def test_a_job_without_status_is_waited_for(specs):
    write(specs / "job.yaml", trainjob())

    assert verdict(take(Settings(specs=specs)).find("demo")) is None


def test_a_failure_names_the_rank_that_failed_first(specs):
    nodes = [
        node(0, "exited", exitCode=137, finishedAt="2026-01-01T00:00:59.000Z"),
        node(1, "exited", exitCode=3, finishedAt="2026-01-01T00:00:50.000Z", log="/logs/1.log"),
    ]
    job = job_with(specs, phase="Failed", conditions=[FAILED], nodes=nodes)

    found = judge(job, "Complete", now=0, settings=Settings())

    assert found is not None
    assert "demo: Failed after 50s: jobset failed" in found.message
    assert "rank 1 (demo-node-1) exited with 3; its log: /logs/1.log" in found.message


def test_an_end_before_the_last_rerun_is_not_believed(specs):
    over = {"phase": "Failed", "conditions": [FAILED]}

    later = job_with(specs, annotations={RERUN: "2026-01-01T00:02:00.000000Z"}, **over)
    assert verdict(later) is None

    earlier = job_with(specs, annotations={RERUN: "2026-01-01T00:00:30.000000Z"}, **over)
    assert verdict(earlier) == 1


def test_the_daemons_record_says_which_rerun_it_has_taken_up(specs, tmp_path):
    token = "2026-01-01T00:02:00.000000Z"
    job = job_with(specs, annotations={RERUN: token}, phase="Failed", conditions=[FAILED])
    settings = Settings(specs=specs, state_dir=tmp_path)
    store = RecordStore(tmp_path / "records" / settings.instance)
    record = Record(namespace="default", name="demo", uid="u", created_at=0, rerun="before")

    store.save(record)
    assert verdict(job, settings=settings) is None

    store.save(record.model_copy(update={"rerun": token}))
    assert verdict(job, settings=settings) == 1


def test_an_invalid_older_than_the_manifest_has_a_moment_to_be_replaced(specs):
    job = job_with(specs, phase="Invalid")
    changed = time.time() + 10
    os.utime(specs / "job.yaml", (changed, changed))

    assert verdict(job, now=changed + GRACE / 2) is None
    assert verdict(job, now=changed + GRACE * 2) == 1


def test_exit_status_and_message(cli, specs):
    job_with(specs, phase="Complete")
    done = cli("wait", "demo")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("demo: Complete")

    job_with(specs, phase="Failed", conditions=[FAILED])
    done = cli("wait", "demo")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "demo: Failed: jobset failed" in done.stderr


def test_the_time_out_has_a_status_of_its_own(cli, specs):
    job_with(specs, phase="Pending", message="image x: not found")

    done = cli("wait", "demo", "--timeout", "0.1")

    assert done.exit_code == 124
    assert "it is still Pending: image x: not found" in done.stderr


def test_a_job_that_is_not_there_is_not_waited_for(cli, specs):
    assert cli("wait", "demo", "--timeout", "20").exit_code == 1
    assert cli("wait", "demo", "--for", "delete").exit_code == 0


def test_it_returns_as_the_status_lands(cli, specs):
    job_with(specs, phase="Running")
    timer = threading.Timer(0.3, lambda: write(specs / "job.status.yaml", sidecar(phase="Complete")))
    timer.start()

    done = cli("wait", "demo", "--timeout", "30")

    timer.join()
    assert done.exit_code == 0


def test_phases_may_be_written_as_kubectl_has_them(cli, specs):
    job_with(specs, phase="Complete")

    assert cli("wait", "demo", "--for", "condition=complete").exit_code == 0
    assert cli("wait", "trainjob/demo", "--for=COMPLETE").exit_code == 0
