"""Admission of the documents of a folder: duplicates and references to runtimes."""

from __future__ import annotations

import pytest

from reconciler.api import check, load
from tests.api.manifests import errors, faults, loaded, runtime, trainjob, warnings


def test_a_job_and_its_runtime_are_fine_in_either_order_and_in_different_files():
    # Arrange
    job = loaded(trainjob(), file="a.yaml").documents
    run = loaded(runtime(), file="b.yaml").documents

    # Act and assert
    assert check([*job, *run]) == []
    assert check([*run, *job]) == []


def test_the_same_job_in_two_files_is_an_error_on_both_naming_both():
    # Arrange
    first = loaded(runtime(), trainjob(), file="a.yaml").documents
    second = loaded(trainjob(suspend=True), file="sub/b.yaml").documents

    # Act
    found = check([*first, *second])

    # Assert
    assert [(fault.file, fault.path, fault.reason) for fault in found] == [
        ("a.yaml", "metadata.name", "Duplicate"),
        ("sub/b.yaml", "metadata.name", "Duplicate"),
    ]
    for fault in found:
        assert "a.yaml:" in fault.message
        assert "sub/b.yaml:1" in fault.message


def test_the_same_name_in_another_namespace_or_kind_is_no_duplicate():
    found = errors(
        runtime("x"),
        runtime("x", kind="TrainingRuntime"),
        trainjob("x", ref="x"),
        trainjob("x", namespace="b", ref="x"),
    )
    assert found == {}


def test_an_invalid_document_still_counts_as_a_duplicate():
    found = faults(runtime(), trainjob(), trainjob(trainer={"numNodes": -1}))
    assert sum(fault.reason == "Duplicate" for fault in found) == 2


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_secrets_and_config_maps_are_defined_once(kind):
    obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}
    assert "more than once" in errors(obj, obj)["metadata.name"]


def test_other_kinds_may_be_there_twice():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}
    assert errors(service, service) == {}


def test_a_missing_runtime_has_its_own_reason():
    (fault,) = faults(trainjob(ref="absent"))
    assert (fault.reason, fault.severity) == ("RuntimeNotFound", "error")
    assert fault.path == "spec.runtimeRef.name"
    assert 'ClusterTrainingRuntime "absent" not found' in fault.message


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([trainjob()], "--runtime-source"),
        ([trainjob(ref="torhc"), runtime()], 'did you mean "torch"?'),
        ([trainjob(ref="x"), runtime("abc")], "known: abc"),
        ([trainjob(), runtime(kind="TrainingRuntime")], "set spec.runtimeRef.kind: TrainingRuntime"),
        (
            [trainjob(ref={"kind": "TrainingRuntime", "name": "torch"}), runtime()],
            "set spec.runtimeRef.kind: ClusterTrainingRuntime",
        ),
        (
            [
                trainjob(ref={"kind": "TrainingRuntime", "name": "torch"}),
                runtime(kind="TrainingRuntime", namespace="team-b"),
            ],
            "there is one in namespace team-b",
        ),
    ],
)
def test_a_missing_runtime_has_a_remedy(objects, said):
    assert said in errors(*objects)["spec.runtimeRef.name"]


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ({"name": "torch", "kind": "SlurmRuntime"}, "spec.runtimeRef.kind"),
        ({"name": "torch", "apiGroup": "acme.io"}, "spec.runtimeRef.apiGroup"),
    ],
)
def test_another_kind_of_runtime_is_not_supported(ref, path):
    found = errors(runtime(), trainjob(ref=ref))
    assert "unsupported runtime" in found[path]


def test_a_runtime_of_the_folder_takes_precedence_over_a_built_in_one():
    # Arrange
    built_in = loaded(runtime("torch"), runtime("other"), file="built-in").documents
    own = loaded(runtime("torch", labels={"trainer.kubeflow.org/support": "deprecated"})).documents
    jobs = loaded(trainjob("a"), trainjob("b", ref="other"), file="jobs").documents

    # Act
    found = check([*own, *jobs], built_in)

    # Assert
    assert {fault.object for fault in found} == {"ClusterTrainingRuntime/torch", "TrainJob/default/a"}
    assert {fault.severity for fault in found} == {"warning"}


def test_a_job_of_an_invalid_runtime_waits_like_for_a_missing_one():
    # Act
    found = faults(runtime(policy={"torch": {}, "jax": {}}), trainjob())

    # Assert
    (fault,) = (fault for fault in found if fault.object == "TrainJob/default/demo")
    assert fault.reason == "RuntimeNotFound"
    assert "f.yaml:1" in fault.message


def test_a_deprecated_runtime_is_warned_about_on_itself_and_on_its_jobs():
    found = warnings(runtime(labels={"trainer.kubeflow.org/support": "deprecated"}), trainjob())
    assert set(found) == {"metadata.labels[trainer.kubeflow.org/support]", "spec.runtimeRef"}


def test_documents_that_are_no_objects_have_no_further_faults():
    documents = load(b"---\n3\n---\n[]\n---\na: 1\n", "f").documents
    assert check(documents) == []
