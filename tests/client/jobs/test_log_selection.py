"""A follower stays with the object that it began with."""

from __future__ import annotations

from pathlib import Path

from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.log_selection import same_object
from reconciler.state.sidecar_reader import ObjectStatus


def job(uid: str, *, log: str = "") -> Job:
    """A job whose object has this uid; "": no daemon has seen its manifest."""
    nodes = [{"rank": 0, "name": "demo-node-0", "log": log}] if log else []
    status = ObjectStatus(
        kind="TrainJob",
        namespace="default",
        name="demo",
        file=Path("demo.status.yaml"),
        written_at=0.0,
        raw={"metadata": {"uid": uid}, "status": {"nodes": nodes}},
    )
    return Job("default", "demo", None, status if uid else None)


def test_the_same_object_is_taken_as_it_is_now(tmp_path: Path) -> None:
    now = job("u1")
    assert same_object(job("u1"), now, tmp_path) is now


def test_the_first_object_of_a_manifest_is_the_one_that_was_meant(tmp_path: Path) -> None:
    now = job("u1")
    assert same_object(job(""), now, tmp_path) is now


def test_a_manifest_without_an_object_yet_is_not_taken_for_the_job(tmp_path: Path) -> None:
    before = job("u1")
    assert same_object(before, job(""), tmp_path) is before


def test_another_object_of_the_name_is_none(tmp_path: Path) -> None:
    assert same_object(job("u1", log=str(tmp_path / "demo.u1/0/a.log")), job("u2"), tmp_path) is None
