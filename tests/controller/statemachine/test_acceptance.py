"""From manifest to record: first sight, updates, refusals, reruns, and records got back from the sidecar."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.controller.statemachine.acceptance import (
    ANNOTATION_RERUN,
    Wanted,
    first_sight,
    snapshot,
    update,
)
from reconciler.names import ANNOTATION_UPDATE_POLICY
from reconciler.state.record import Record
from tests.simulation.manifests import job


def wanted(policy: str = "Refuse", file: str = "/specs/demo.yaml", **spec: Any) -> Wanted:
    annotations = spec.pop("annotations", None)
    raw = job("demo", "r", annotations=annotations, **spec)
    return Wanted(namespace="default", name="demo", job=raw, runtime=None, file=file, update_policy=policy)


@pytest.fixture
def seen() -> Record:
    """A job that was accepted at second 10."""
    return first_sight(wanted(), uid="u1", now=10.0)


def test_the_clock_runs_from_first_sight(seen: Record) -> None:
    assert (seen.uid, seen.created_at, seen.clock_from, seen.generation) == ("u1", 10.0, 10.0, 1)


def test_an_unchanged_manifest_changes_nothing_but_what_was_observed(seen: Record) -> None:
    once = update(seen, wanted(), uid="u2", now=20.0)
    assert update(once, wanted(), uid="u3", now=30.0) == once


def test_a_move_is_no_change(seen: Record) -> None:
    moved = update(seen, wanted(file="/specs/sub/other.yaml"), uid="u2", now=20.0)
    assert (moved.uid, moved.generation) == ("u1", 1)
    assert moved.file == "/specs/sub/other.yaml"


def test_suspend_is_taken_over_and_is_a_generation(seen: Record) -> None:
    changed = update(seen, wanted(suspend=True), uid="u2", now=20.0)
    assert changed.job["spec"]["suspend"] is True
    assert (changed.generation, changed.observed_generation) == (2, 2)


def test_labels_and_annotations_are_no_generation(seen: Record) -> None:
    changed = update(seen, wanted(annotations={"a": "b"}), uid="u2", now=20.0)
    assert changed.generation == 1
    assert changed.job["metadata"]["annotations"] == {"a": "b"}


def test_an_immutable_change_is_refused_once_with_field_and_remedy(seen: Record) -> None:
    changed = update(seen, wanted(trainer={"numNodes": 4}), uid="u2", now=20.0)
    again = update(changed, wanted(trainer={"numNodes": 4}), uid="u3", now=30.0)
    assert "trainer" not in again.job["spec"]
    assert "spec.trainer" in again.rejected
    assert "rerun" in again.rejected
    assert (again.rejected_path, again.rejected_at) == ("spec.trainer", 20.0)
    assert [e.reason for e in again.events].count("UpdateRefused") == 1


def test_taking_the_refused_change_back_ends_the_refusal(seen: Record) -> None:
    changed = update(seen, wanted(trainer={"numNodes": 4}), uid="u2", now=20.0)
    assert update(changed, wanted(), uid="u3", now=30.0).rejected == ""


def test_suspend_takes_effect_beside_a_refused_change(seen: Record) -> None:
    changed = update(seen, wanted(trainer={"numNodes": 4}, suspend=True), uid="u2", now=20.0)
    assert changed.job["spec"]["suspend"] is True
    assert changed.rejected


@pytest.mark.parametrize("where", ["daemon", "annotation"])
def test_recreate_gives_the_job_another_life(seen: Record, where: str) -> None:
    if where == "daemon":
        asked = wanted("Recreate", trainer={"numNodes": 4})
    else:
        asked = wanted(trainer={"numNodes": 4}, annotations={ANNOTATION_UPDATE_POLICY: "Recreate"})
    changed = update(seen, asked, uid="u2", now=20.0)
    assert (changed.uid, changed.attempt, changed.created_at) == ("u2", 1, 20.0)
    assert changed.job["spec"]["trainer"] == {"numNodes": 4}


def test_a_rerun_token_is_honoured_once(seen: Record) -> None:
    asked = wanted(annotations={ANNOTATION_RERUN: "t1"})
    again = update(seen, asked, uid="u2", now=20.0)
    assert again.uid == "u2"
    assert update(again, asked, uid="u3", now=30.0).uid == "u2"


def test_a_rerun_forgets_the_runtime_and_how_the_job_ended(seen: Record) -> None:
    ended = snapshot(seen, {"kind": "ClusterTrainingRuntime"}).with_condition(
        "Failed", "True", "FailedJobs", "", now=15.0
    )
    again = update(ended, wanted(annotations={ANNOTATION_RERUN: "t1"}), uid="u2", now=20.0)
    assert again.runtime == {}
    assert not again.finished
    assert again.events[-1].reason == "Recreated"


def test_a_recovered_record_takes_the_manifest_as_it_is() -> None:
    lost = Record(namespace="default", name="demo", uid="u1", created_at=1.0, generation=3, recovered=True)
    asked = wanted(annotations={ANNOTATION_RERUN: "honoured"}, trainer={"numNodes": 2})
    back = update(lost, asked, uid="u2", now=20.0)
    assert (back.uid, back.generation, back.rerun) == ("u1", 3, "honoured")
    assert back.job == asked.job
    assert back.rejected == ""
