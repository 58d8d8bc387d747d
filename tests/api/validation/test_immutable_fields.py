"""Updates of immutable fields."""

from __future__ import annotations

import pytest

from reconciler.api import check_update
from tests.api.manifests import document, patch, runtime, step, trainjob


def _find_changes(old, new, *, suspended=False):
    found = check_update(document(old), document(new), suspended=suspended)
    assert {fault.reason for fault in found} <= {"ImmutableField"}
    return [fault.path for fault in found]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({"trainer": {"image": "a"}}, {"trainer": {"image": "b"}}, "spec.trainer"),
        ({"trainer": {"numNodes": 1}}, {"trainer": {"numNodes": 2}}, "spec.trainer"),
        ({}, {"trainer": {"numNodes": 2}}, "spec.trainer"),
        ({"initializer": {"model": {"storageUri": "a://b"}}}, {}, "spec.initializer"),
        ({"activeDeadlineSeconds": 1}, {"activeDeadlineSeconds": 2}, "spec.activeDeadlineSeconds"),
        ({}, {"managedBy": "kueue.x-k8s.io/multikueue"}, "spec.managedBy"),
        ({"ref": "a"}, {"ref": "b"}, "spec.runtimeRef"),
    ],
)
def test_an_immutable_field_that_differs(old, new, path):
    assert _find_changes(trainjob(**old), trainjob(**new)) == [path]
    assert _find_changes(trainjob(**old), trainjob(**new), suspended=True) == [path]


def test_writing_out_a_default_is_no_change():
    old = trainjob(trainer={"resourcesPerNode": {"limits": {"cpu": 1}}})
    new = trainjob(
        ref={"name": "torch", "kind": "ClusterTrainingRuntime", "apiGroup": "trainer.kubeflow.org"},
        managedBy="trainer.kubeflow.org/trainjob-controller",
        trainer={"args": [], "resourcesPerNode": {"limits": {"cpu": 1.0}}},
        suspend=False,
    )
    assert _find_changes(old, new) == []


def test_suspend_labels_and_annotations_may_change():
    new = trainjob(suspend=True)
    new["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    assert _find_changes(trainjob(), new) == []


def _patched(pod, **spec):
    return trainjob(runtimePatches=[patch(pod)], **spec)


def test_patches_change_only_while_suspended_before_or_after():
    one, two = {"nodeSelector": {"a": "1"}}, {"nodeSelector": {"a": "2"}}
    assert _find_changes(_patched(one), _patched(two)) == ["spec.runtimePatches"]
    assert _find_changes(_patched(one), _patched(two), suspended=True) == []
    assert _find_changes(_patched(one), _patched(two, suspend=True)) == []
    assert _find_changes(trainjob(), _patched(two)) == ["spec.runtimePatches"]
    assert _find_changes(_patched(one), trainjob(), suspended=True) == []


def test_a_patchs_time_is_no_change():
    new = _patched({})
    new["spec"]["runtimePatches"][0]["time"] = "2026-01-01T00:00:00Z"
    assert _find_changes(_patched({}), new) == []


POD = "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("serviceAccountName", "a", "b"),
        ("terminationGracePeriodSeconds", 1, 2),
        ("volumes", [{"name": "a", "emptyDir": {}}], [{"name": "b", "emptyDir": {}}]),
        ("containers", [{"name": "a"}], [{"name": "b"}]),
        ("securityContext", {"runAsUser": 1}, {"runAsUser": 2}),
    ],
)
def test_some_fields_of_a_managers_patch_never_change(field, old, new):
    assert _find_changes(_patched({field: old}), _patched({field: new}), suspended=True) == [f"{POD}.{field}"]
    assert _find_changes(_patched({}), _patched({field: new}), suspended=True) == []
    other = trainjob(runtimePatches=[patch({field: new}, manager="acme.io/other")])
    assert _find_changes(_patched({field: old}), other, suspended=True) == []


def test_a_runtimes_immutable_fields():
    # Arrange
    old = runtime(
        steps=[step("a"), step(dependsOn=[{"name": "a", "status": "Ready"}])],
        jobset={"failurePolicy": {"maxRestarts": 1}},
    )
    new = runtime(
        steps=[step("a"), step(dependsOn=[{"name": "a", "status": "Complete"}])],
        jobset={"failurePolicy": {"maxRestarts": 2}},
    )

    # Act and assert
    assert _find_changes(old, new) == [
        "spec.template.spec.failurePolicy",
        "spec.template.spec.replicatedJobs[1].dependsOn",
    ]
    assert _find_changes(old, old) == []


def test_the_old_object_may_be_a_model_and_invalid_documents_have_no_changes():
    new = document(trainjob(trainer={"numNodes": 2}))
    assert check_update(document(trainjob()).model, new, suspended=False)
    assert check_update(document(trainjob(suspend=3)), new, suspended=False) == []
    assert check_update(document(runtime()), new, suspended=False) == []
