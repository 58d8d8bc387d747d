"""Manifests into records: new jobs, updates, refused updates, reruns, records recovered from the sidecar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.statemachine.acceptance import DesiredJob, accept_manifest, pin_runtime
from reconciler.names import ANNOTATION_RERUN, ANNOTATION_UPDATE_POLICY
from reconciler.state.record import Record
from tests.simulation.manifests import job


def desired(policy: str = "Refuse", file: str = "/specs/demo.yaml", **spec: Any) -> DesiredJob:
    annotations = spec.pop("annotations", None)
    raw = job("demo", "r", annotations=annotations, **spec)
    return DesiredJob(
        namespace="default", name="demo", job=raw, runtime=None, file=file, update_policy=policy
    )


@pytest.fixture
def accepted() -> Record:
    """A job that was accepted at second 10, and has started."""
    return accept_manifest(None, desired(), uid="u1", now=10.0).replace(unstarted=False)


@pytest.fixture
def unstarted(accepted: Record) -> Record:
    """The same, but nothing of it has started."""
    return accepted.replace(unstarted=True)


def test_an_edit_before_anything_has_started_is_the_job_made_anew(unstarted: Record) -> None:
    anew = accept_manifest(unstarted, desired(trainer={"numNodes": 4}), uid="u2", now=20.0)

    assert (anew.uid, anew.generation, anew.attempt, anew.created_at) == ("u2", 1, 0, 20.0)
    assert anew.job["spec"]["trainer"] == {"numNodes": 4}
    assert anew.rejected == ""
    assert "before anything of it ran" in anew.events[-1].message
    assert anew.unstarted


def _with_runtime(image: str, **spec: Any) -> DesiredJob:
    return replace(desired(**spec), runtime={"kind": "ClusterTrainingRuntime", "spec": {"image": image}})


def _pinned(record: Record, manifest: DesiredJob) -> Record:
    return pin_runtime(accept_manifest(record, manifest, uid="u2", now=11.0), manifest, (), now=12.0)


def test_an_edit_of_the_runtime_before_anything_has_started_keeps_the_place_in_the_queue(
    unstarted: Record,
) -> None:
    pinned = _pinned(unstarted, _with_runtime("wrong"))

    same = accept_manifest(pinned, _with_runtime("wrong"), uid="u2", now=20.0)
    anew = accept_manifest(pinned, _with_runtime("right"), uid="u2", now=20.0)

    assert same == pinned
    assert (anew.uid, anew.runtime, anew.created_at, anew.clock_from) == ("u2", {}, 10.0, 20.0)
    assert accept_manifest(anew, _with_runtime("right"), uid="u3", now=30.0).uid == "u2"


def test_a_runtime_that_is_gone_and_comes_back_changes_nothing(unstarted: Record) -> None:
    pinned = _pinned(unstarted, _with_runtime("wrong"))

    gone = accept_manifest(pinned, desired(), uid="u2", now=20.0)
    back = accept_manifest(gone, _with_runtime("wrong"), uid="u3", now=30.0)

    assert back == pinned


def test_a_suspended_job_keeps_its_runtime_when_it_is_resumed(unstarted: Record) -> None:
    pinned = _pinned(unstarted, _with_runtime("old", suspend=True))

    edited = accept_manifest(pinned, _with_runtime("new", suspend=True), uid="u2", now=20.0)
    resumed = accept_manifest(edited, _with_runtime("new"), uid="u3", now=30.0)

    assert (resumed.uid, resumed.runtime["spec"]) == ("u1", {"image": "old"})


def test_a_runtime_with_values_that_json_does_not_keep_is_no_edit(unstarted: Record) -> None:
    odd = replace(desired(), runtime={"spec": {1: float("nan")}})
    pinned = Record.model_validate_json(_pinned(unstarted, odd).model_dump_json())

    assert accept_manifest(pinned, odd, uid="u2", now=20.0).uid == "u1"


@pytest.mark.parametrize("change", [{"suspend": True}, {"annotations": {"a": "b"}}])
def test_what_upstream_lets_change_is_an_update_even_before_the_start(
    unstarted: Record, change: dict[str, Any]
) -> None:
    changed = accept_manifest(unstarted, desired(**change), uid="u2", now=20.0)

    assert changed.uid == "u1"


def test_a_container_that_started_unrecorded_counts(unstarted: Record) -> None:
    changed = accept_manifest(
        unstarted, desired(trainer={"numNodes": 4}), uid="u2", now=20.0, has_started=lambda: True
    )

    assert changed.uid == "u1"
    assert changed.rejected


def test_an_edit_after_the_engine_refused_a_start_is_the_next_attempt(unstarted: Record) -> None:
    refused = unstarted.with_container("demo-node-0", start_error="no such path")

    anew = accept_manifest(refused, desired(trainer={"numNodes": 4}), uid="u2", now=20.0)

    assert (anew.uid, anew.generation, anew.attempt) == ("u2", 1, 1)


def test_a_new_job_counts_its_deadline_from_acceptance(accepted: Record) -> None:
    assert (accepted.uid, accepted.created_at, accepted.clock_from, accepted.generation) == (
        "u1",
        10.0,
        10.0,
        1,
    )


def test_an_unchanged_manifest_changes_nothing(accepted: Record) -> None:
    once = accept_manifest(accepted, desired(), uid="u2", now=20.0)
    assert accept_manifest(once, desired(), uid="u3", now=30.0) == once


def test_a_moved_manifest_is_the_same_job(accepted: Record) -> None:
    moved = accept_manifest(accepted, desired(file="/specs/sub/other.yaml"), uid="u2", now=20.0)
    assert (moved.uid, moved.generation) == ("u1", 1)
    assert moved.file == "/specs/sub/other.yaml"


def test_suspend_takes_effect_and_is_a_new_generation(accepted: Record) -> None:
    changed = accept_manifest(accepted, desired(suspend=True), uid="u2", now=20.0)
    assert changed.job["spec"]["suspend"] is True
    assert (changed.generation, changed.observed_generation) == (2, 2)


def test_labels_and_annotations_are_no_new_generation(accepted: Record) -> None:
    changed = accept_manifest(accepted, desired(annotations={"a": "b"}), uid="u2", now=20.0)
    assert changed.generation == 1
    assert changed.job["metadata"]["annotations"] == {"a": "b"}


def test_an_immutable_change_is_refused_once_with_field_and_remedy(accepted: Record) -> None:
    changed = accept_manifest(accepted, desired(trainer={"numNodes": 4}), uid="u2", now=20.0)
    again = accept_manifest(changed, desired(trainer={"numNodes": 4}), uid="u3", now=30.0)
    assert "trainer" not in again.job["spec"]
    assert "spec.trainer" in again.rejected
    assert "rerun" in again.rejected
    assert (again.rejected_path, again.rejected_at) == ("spec.trainer", 20.0)
    assert [e.reason for e in again.events].count("UpdateRefused") == 1


def test_undoing_the_refused_change_ends_the_refusal(accepted: Record) -> None:
    changed = accept_manifest(accepted, desired(trainer={"numNodes": 4}), uid="u2", now=20.0)
    assert accept_manifest(changed, desired(), uid="u3", now=30.0).rejected == ""


def test_suspend_takes_effect_beside_a_refused_change(accepted: Record) -> None:
    changed = accept_manifest(accepted, desired(trainer={"numNodes": 4}, suspend=True), uid="u2", now=20.0)
    assert changed.job["spec"]["suspend"] is True
    assert changed.rejected


@pytest.mark.parametrize("where", ["daemon", "annotation"])
def test_recreate_starts_the_job_anew_with_another_uid(accepted: Record, where: str) -> None:
    if where == "daemon":
        changed_manifest = desired("Recreate", trainer={"numNodes": 4})
    else:
        changed_manifest = desired(
            trainer={"numNodes": 4}, annotations={ANNOTATION_UPDATE_POLICY: "Recreate"}
        )
    changed = accept_manifest(accepted, changed_manifest, uid="u2", now=20.0)
    assert (changed.uid, changed.attempt, changed.created_at) == ("u2", 1, 20.0)
    assert changed.job["spec"]["trainer"] == {"numNodes": 4}


def test_a_rerun_knows_the_containers_of_the_life_before_by_their_ids(accepted: Record) -> None:
    lived = accepted.with_container("demo-node-0", container_id="a").replace(
        earlier_ids=("b",), strays=("c",)
    )

    again = accept_manifest(lived, desired(annotations={ANNOTATION_RERUN: "1"}), uid="u2", now=20.0)

    assert (again.uid, again.containers, again.unseen) == ("u2", {}, False)
    assert (again.container_ids, again.strays) == (("b", "a"), ("c",))


def test_a_rerun_token_is_honoured_once(accepted: Record) -> None:
    changed_manifest = desired(annotations={ANNOTATION_RERUN: "t1"})
    again = accept_manifest(accepted, changed_manifest, uid="u2", now=20.0)
    assert again.uid == "u2"
    assert accept_manifest(again, changed_manifest, uid="u3", now=30.0).uid == "u2"


def test_a_rerun_drops_the_pinned_runtime_and_the_end(accepted: Record) -> None:
    manifest = replace(desired(), runtime={"kind": "ClusterTrainingRuntime"})
    pinned = pin_runtime(accepted, manifest, (), now=12.0)
    ended = pinned.with_condition("Failed", "True", "FailedJobs", "", now=15.0)
    again = accept_manifest(ended, desired(annotations={ANNOTATION_RERUN: "t1"}), uid="u2", now=20.0)
    assert again.runtime == {}
    assert not again.finished
    assert again.events[-1].reason == "Recreated"


def test_a_recovered_record_accepts_the_manifest_as_it_is() -> None:
    lost = Record(namespace="default", name="demo", uid="u1", created_at=1.0, generation=3, recovered=True)
    changed_manifest = desired(annotations={ANNOTATION_RERUN: "honoured"}, trainer={"numNodes": 2})
    back = accept_manifest(lost, changed_manifest, uid="u2", now=20.0)
    assert (back.uid, back.generation, back.rerun) == ("u1", 3, "honoured")
    assert back.job == changed_manifest.job
    assert back.rejected == ""
