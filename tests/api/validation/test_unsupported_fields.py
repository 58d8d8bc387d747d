"""Unsupported fields are accepted with a warning."""

from __future__ import annotations

import pytest

from reconciler.api import find_unsupported_fields
from reconciler.api.models.base import Model
from reconciler.api.models.model_fields import get_fields
from reconciler.api.validation.unsupported_fields import UNSUPPORTED_FIELDS
from tests.api.manifests import container, document, patch, runtime, step, trainjob, warnings

JOB = "spec.template.spec.replicatedJobs[0]"
POD = f"{JOB}.template.spec.template.spec"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serviceAccountName", "x"),
        ("nodeName", "x"),
        ("nodeSelector", {"a": "b"}),
        ("affinity", {"nodeAffinity": {}}),
        ("tolerations", [{"operator": "Exists"}]),
        (
            "topologySpreadConstraints",
            [{"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "DoNotSchedule"}],
        ),
        ("schedulerName", "volcano"),
        ("schedulingGates", [{"name": "x"}]),
        ("enableServiceLinks", True),
        ("enableServiceLinks", False),
        ("readinessGates", [{"conditionType": "x"}]),
        ("overhead", {"cpu": "1"}),
        ("os", {"name": "linux"}),
        ("ephemeralContainers", [{"name": "debug"}]),
    ],
)
def test_a_pods_field_is_accepted_and_warned_about(field, value):
    found = warnings(runtime(steps=[step(pod={field: value})]))
    assert list(found) == [f"{POD}.{field}"]
    assert "no effect" in found[f"{POD}.{field}"]


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (runtime(steps=[step(containers=[container(resources={"claims": [{"name": "x"}]})])]), f"{POD}.containers[0].resources.claims"),
        (runtime(jobset={"suspend": True}), "spec.template.spec.suspend"),
        (runtime(steps=[step(job={"suspend": True})]), f"{JOB}.template.spec.suspend"),
        (runtime(steps=[step(pod={"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/p"}}]})]), f"{POD}.volumes[0].nfs"),
        (runtime(steps=[step(pod={"volumes": [{"name": "v", "csi": {"driver": "d"}}]})]), f"{POD}.volumes[0].csi"),
    ],
)  # fmt: skip
def test_other_fields_are_warned_about(obj, path):
    assert list(warnings(obj)) == [path]


def test_finalizers_and_network_topology_are_warned_about():
    # Arrange
    obj = runtime()
    obj["spec"]["template"]["metadata"] = {"finalizers": ["a.io/b"]}
    obj["spec"]["podGroupPolicy"] = {"volcano": {"networkTopology": {"mode": "hard"}}}

    # Act and assert
    assert set(warnings(obj)) == {
        "spec.template.metadata.finalizers",
        "spec.podGroupPolicy.volcano.networkTopology",
    }


@pytest.mark.parametrize("pod", [{"tolerations": []}, {"nodeSelector": {}}, {"serviceAccountName": ""}, {"schedulerName": "default-scheduler"}])  # fmt: skip
def test_empty_and_default_values_are_not_warned_about(pod):
    assert warnings(runtime(steps=[step(pod=pod)])) == {}


def test_patches_are_warned_about_with_their_own_paths():
    found = warnings(runtime(), trainjob(runtimePatches=[patch({"tolerations": [{"key": "x"}]})]))
    assert list(found) == [
        "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec.tolerations"
    ]


def test_a_jobs_own_fields_are_warned_about():
    job = trainjob(trainer={"resourcesPerNode": {"claims": [{"name": "x"}]}})
    job["metadata"]["finalizers"] = ["a.io/b"]
    assert set(warnings(runtime(), job)) == {"metadata.finalizers", "spec.trainer.resourcesPerNode.claims"}


def test_models_and_plain_data_give_the_same_warnings():
    # Arrange
    obj = runtime(steps=[step(pod={"nodeName": "x"})])

    # Act
    of_data = find_unsupported_fields(obj["spec"])
    of_model = find_unsupported_fields(document(obj).model.spec)

    # Assert
    assert of_data == of_model
    assert [path for path, _ in of_data] == [f"{POD}.nodeName"]


def test_supported_fields_are_not_warned_about():
    pod = {"priorityClassName": "high", "priority": 3, "runtimeClassName": "nvidia", "hostNetwork": True}
    assert warnings(runtime(steps=[step(pod=pod)])) == {}


def test_every_entry_of_the_table_is_a_field_of_a_model():
    known = {model.__name__: get_fields(model) for model in Model.__subclasses__()}
    for name, fields in UNSUPPORTED_FIELDS.items():
        assert set(fields) <= set(known[name]), name
