"""Faults of an object by itself, in the words of Kubernetes and with a remedy."""

from __future__ import annotations

import pytest

from tests.api.manifests import container, document, errors, patch, runtime, step, trainjob, warnings

POD = "spec.template.spec.replicatedJobs[0].template.spec.template.spec"


def _find_errors(obj):
    return {fault.path: fault.message for fault in document(obj).faults if fault.severity == "error"}


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        ({"trainer": {"numNodes": "2"}}, "spec.trainer.numNodes", "of type integer, not string; write the number without"),
        ({"trainer": {"numNodes": 1.5}}, "spec.trainer.numNodes", "of type integer, not number"),
        ({"trainer": {"numNodes": True}}, "spec.trainer.numNodes", "of type integer, not boolean"),
        ({"trainer": {"numNodes": 2**31}}, "spec.trainer.numNodes", "less than 2147483648"),
        ({"trainer": {"numNodes": -1}}, "spec.trainer.numNodes", "greater than or equal to 0"),
        ({"trainer": {"numProcPerNode": "auto"}}, "spec.trainer.numProcPerNode", "leave the field out"),
        ({"trainer": {"numProcPerNode": 0}}, "spec.trainer.numProcPerNode", "equal to 1"),
        ({"trainer": {"command": "python x.py"}}, "spec.trainer.command", '["python", "x.py"]'),
        ({"trainer": {"command": [1]}}, "spec.trainer.command[0]", "of type string, not integer"),
        ({"trainer": {"command": [None]}}, "spec.trainer.command[0]", "of type string, not null"),
        ({"trainer": {"args": ["a"] * 129}}, "spec.trainer.args", "Too many: 129: must have at most 128"),
        ({"trainer": {"image": "x" * 501}}, "spec.trainer.image", "Too long: may not be more than 500"),
        ({"trainer": []}, "spec.trainer", "of type object, not array"),
        ({"trainer": {"env": {"A": "1"}}}, "spec.trainer.env", "of type array, not object"),
        ({"trainer": {"env": [{"name": "A", "value": 1}]}}, "spec.trainer.env[0].value", "put it in quotes"),
        ({"trainer": {"env": [{"value": "1"}]}}, "spec.trainer.env[0].name", "Required value"),
        ({"suspend": "true"}, "spec.suspend", "write true or false without quotes"),
        ({"suspend": 1}, "spec.suspend", "of type boolean, not integer"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds", "equal to 1"),
        ({"managedBy": "me"}, "spec.managedBy", "kueue.x-k8s.io/multikueue"),
        ({"initializer": {"model": {"storageUri": "x"}}}, "spec.initializer.model.storageUri", "scheme://"),
        (
            {"trainer": {"resourcesPerNode": {"limits": {"nvidia.com/gpu": "one"}}}},
            "spec.trainer.resourcesPerNode.limits[nvidia.com/gpu]",
            "not a Kubernetes quantity",
        ),
        (
            {"trainer": {"resourcesPerNode": {"limits": {"cpu": True}}}},
            "spec.trainer.resourcesPerNode.limits.cpu",
            "of type quantity",
        ),
        ({"runtimePatches": [{}]}, "spec.runtimePatches[0].manager", "Required value"),
        ({"runtimePatches": [{"manager": ""}]}, "spec.runtimePatches[0].manager", "must not be empty"),
        (
            {"runtimePatches": [{"manager": "a.io/b", "time": "yesterday"}]},
            "spec.runtimePatches[0].time",
            "RFC 3339",
        ),
        ({"runtimePatches": [{"manager": "a.io/b"}] * 17}, "spec.runtimePatches", "at most 16"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_trainjob(spec, path, said):
    found = _find_errors(trainjob(**spec))
    assert list(found) == [path]
    assert said in found[path]


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        ({"trainer": {"nodes": 2}}, "spec.trainer.nodes", 'did you mean "numNodes"?'),
        ({"trainer": {"numnodes": 2}}, "spec.trainer.numnodes", 'did you mean "numNodes"?'),
        ({"podTemplateOverrides": []}, "spec.podTemplateOverrides", "replaced by spec.runtimePatches"),
        ({"modelConfig": {}}, "spec.modelConfig", "spec.initializer.model"),
        ({"trainer": {"xyz": 2}}, "spec.trainer.xyz", "known here: args, command"),
        ({"trainer": {"env": [{"name": "A", "val": "1"}]}}, "spec.trainer.env[0].val", 'mean "value"'),
    ],
)
def test_an_unknown_field_of_a_trainjob(spec, path, said):
    found = _find_errors(trainjob(**spec))
    assert found[path].startswith(f'unknown field "{path}"')
    assert said in found[path]


def test_a_field_that_patches_may_not_set_lists_the_others():
    (message,) = _find_errors(trainjob(runtimePatches=[patch({"containers": [container()]})])).values()
    assert "may set only env, name, securityContext, volumeMounts" in message


def test_every_fault_is_reported_in_the_order_of_lines():
    # Act
    found = document(trainjob("Demo", trainer={"numNodes": -1, "x": 1, "command": "c"}, suspend=3)).faults

    # Assert
    assert [fault.path for fault in found] == [
        "metadata.name",
        "spec.trainer.numNodes",
        "spec.trainer.x",
        "spec.trainer.command",
        "spec.suspend",
    ]
    assert {fault.object for fault in found} == {"TrainJob/default/Demo"}


@pytest.mark.parametrize("value", [1, 1.0, "1", "1000m"])
def test_quantities_may_be_numbers_as_the_sdk_writes_them(value):
    job = document(trainjob(trainer={"resourcesPerNode": {"limits": {"cpu": value}}}))
    assert job.faults == ()
    assert job.model.spec.trainer.resources_per_node.limits == {"cpu": "1" if value != "1000m" else value}


def test_a_fraction_without_quotes_is_accepted_with_a_warning():
    # Act
    job = document(trainjob(trainer={"resourcesPerNode": {"limits": {"cpu": 0.5}}}))

    # Assert
    assert job.valid
    assert job.model.spec.trainer.resources_per_node.limits == {"cpu": "500m"}
    (fault,) = job.faults
    assert (fault.severity, fault.path) == ("warning", "spec.trainer.resourcesPerNode.limits.cpu")


def test_defaults_are_upstreams():
    spec = document(trainjob(trainer={})).model.spec
    assert spec.runtime_ref.kind == "ClusterTrainingRuntime"
    assert spec.runtime_ref.api_group == "trainer.kubeflow.org"
    assert spec.managed_by == "trainer.kubeflow.org/trainjob-controller"
    assert spec.suspend is False
    mpi = document(runtime(policy={"mpi": {}})).model.spec.ml_policy.mpi
    assert (mpi.mpi_implementation, mpi.num_proc_per_node) == ("OpenMPI", 1)
    assert (mpi.run_launcher_as_node, mpi.ssh_auth_mount_path) == (False, "/root/.ssh")


@pytest.mark.parametrize(
    ("obj", "path", "said"),
    [
        (runtime(policy={"torch": {}, "jax": {}}), "spec.mlPolicy", "Only one of the policy"),
        (runtime(policy={"torch": {"numProcPerNode": "2"}}), "spec.mlPolicy.torch.numProcPerNode", "auto, cpu"),
        (runtime(policy={"torch": {"numProcPerNode": 0}}), "spec.mlPolicy.torch.numProcPerNode", "at least 1"),
        (runtime(policy={"torch": {"numProcPerNode": True}}), "spec.mlPolicy.torch.numProcPerNode", "auto, cpu"),
        (runtime(policy={"flux": {"numProcPerNode": 0}}), "spec.mlPolicy.flux.numProcPerNode", ">= 1"),
        (
            runtime(jobset={"startupPolicy": {"startupPolicyOrder": "InOrder"}}, steps=[step("a"), step(dependsOn=[{"name": "a", "status": "Ready"}])]),
            "spec.template.spec",
            "mutually exclusive",
        ),
        (runtime(jobset={"ttlSecondsAfterFinished": -1}), "spec.template.spec.ttlSecondsAfterFinished", "to 0"),
        (
            runtime(jobset={"successPolicy": {"operator": "Most"}}),
            "spec.template.spec.successPolicy.operator",
            'supported values: "All" or "Any"',
        ),
        (
            runtime(jobset={"failurePolicy": {"rules": [{"name": "r", "action": "Ignore"}]}}),
            "spec.template.spec.failurePolicy.rules[0].action",
            "FailJobSet",
        ),
        (
            runtime(jobset={"volumeClaimPolicies": [{"templates": [{"metadata": {"name": "a", "namespace": "b"}}]}]}),
            "spec.template.spec.volumeClaimPolicies[0]",
            "namespace cannot be set",
        ),
        (runtime(steps=[step("a"), step("a")]), "spec.template.spec.replicatedJobs[1]", "Duplicate value: {name: a}"),
        (
            runtime(steps=[step(pod={"volumes": [{"name": "v", "hostPath": {}}]})]),
            f"{POD}.volumes[0].hostPath.path",
            "Required value",
        ),
        (
            runtime(steps=[step(containers=[container(ports=[{"containerPort": 1}, {"containerPort": 1}])])]),
            f"{POD}.containers[0].ports[1]",
            "Duplicate value: {containerPort: 1, protocol: TCP}",
        ),
        (
            runtime(policy={"torch": {"envInjection": {"targets": [{"jobName": "node", "containerNames": ["a", "a"]}]}}}),
            "spec.mlPolicy.torch.envInjection.targets[0].containerNames[1]",
            "Duplicate value",
        ),
        (
            runtime(steps=[step(containers=[container(livenessProbe={"httpGet": {"port": 1.5}})])]),
            f"{POD}.containers[0].livenessProbe.httpGet.port",
            "integer or string",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_runtime(obj, path, said):
    found = _find_errors(obj)
    assert list(found) == [path]
    assert said in found[path]


def test_an_object_with_too_few_fields_is_rejected():
    obj = runtime()
    obj["spec"] = {}
    assert "at least 1 field" in _find_errors(obj)["spec"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("Demo", "1035"), ("1demo", "1035"), ("demo-", "1035"), ("de_mo", "1035"), ("a.b", "1035"), ("a" * 64, "63"), ("ä", "1035"), ("a\n", "1035")],
)  # fmt: skip
def test_a_trainjobs_name_is_an_rfc_1035_label(name, said):
    assert said in _find_errors(trainjob(name))["metadata.name"]


def test_a_runtimes_name_may_have_dots():
    assert _find_errors(runtime("torchtune-llama3.2-1b")) == {}
    assert "1123" in _find_errors(runtime("Torch"))["metadata.name"]


def test_a_missing_name_is_required_and_generate_name_is_explained():
    job = trainjob()
    job["metadata"] = {"generateName": "demo-"}
    assert "generateName" in _find_errors(job)["metadata.name"]
    del job["metadata"]
    assert list(_find_errors(job)) == ["metadata"]


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"namespace": "Team A"}, "metadata.namespace"),
        ({"labels": {"a/b/c": "x"}}, "metadata.labels[a/b/c]"),
        ({"labels": {"team": "a b"}}, "metadata.labels.team"),
        ({"labels": {"team": "x" * 64}}, "metadata.labels.team"),
        ({"labels": {"team": 1}}, "metadata.labels.team"),
        ({"annotations": {"a b": "x"}}, "metadata.annotations[a b]"),
        ({"annotations": {"big": "x" * 300_000}}, "metadata.annotations"),
        ({"anotations": {}}, "metadata.anotations"),
    ],
)
def test_wrong_metadata(metadata, path):
    job = trainjob()
    job["metadata"].update(metadata)
    assert list(_find_errors(job)) == [path]


def test_metadata_that_a_cluster_writes_is_accepted():
    job = trainjob()
    job["metadata"] |= {
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "1"}],
    }
    job["status"] = {"conditions": []}
    assert _find_errors(job) == {}


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (
            {"apiVersion": "trainer.kubeflow.org/v1beta1"},
            "apiVersion",
            "served as trainer.kubeflow.org/v1alpha1",
        ),
        ({"apiVersion": "kubeflow.org/v1"}, "apiVersion", "no matches for kind"),
        ({"kind": "Trainjob"}, "kind", 'did you mean "TrainJob"?'),
        ({"kind": "Xyz"}, "kind", "known kinds"),
        ({"kind": None}, "kind", "Required value"),
        ({"kind": 3}, "kind", "Required value"),
        ({"apiVersion": ""}, "apiVersion", "Required value"),
    ],
)
def test_a_wrong_kind_or_version(change, path, said):
    assert said in _find_errors({**trainjob(), **change})[path]


@pytest.mark.parametrize(
    "obj",
    [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"any": "thing"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}},
        {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "x"}},
    ],
)
def test_other_kinds_are_not_validated_and_a_warning_says_so(obj):
    found = document(obj)
    assert (found.valid, found.model) == (True, None)
    (fault,) = found.faults
    assert (fault.severity, fault.path) == ("warning", "kind")
    assert f"{obj['kind']} ({obj['apiVersion']}) is ignored" in fault.message


def test_a_job_of_batch_is_to_be_written_as_a_trainjob():
    assert (
        "TrainJob to run it"
        in warnings({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}})["kind"]
    )


def test_a_priority_class_is_read_for_its_value():
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "x"},
        "value": 3,
    }
    assert document(priority).faults == ()


def test_jobs_of_the_first_training_operator_are_warned_about():
    job = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "x"}}
    assert "TrainJob" in warnings(job)["kind"]


def test_secrets_and_config_maps_are_validated():
    # Arrange
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "type": "Opaque",
        "data": {"a": "eA=="},
        "stringData": {"b": "x"},
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "x"}}

    # Act and assert
    assert document(secret).model.string_data == {"b": "x"}
    assert document(config).model.data == {"a": "x"}
    assert "data.key" in errors({**config, "data": {"key": 1}})


def test_invalid_base64_is_a_fault_that_shows_no_secret_value():
    named = {"apiVersion": "v1", "metadata": {"name": "s"}}

    secret = errors({**named, "kind": "Secret", "data": {"a": "hunter2!", "b": "eA\n ==\n", "c": ""}})
    config = errors({**named, "kind": "ConfigMap", "binaryData": {"a": "abc"}})

    assert list(secret) == ["data.a"]
    assert "must be base64" in secret["data.a"]
    assert "stringData" in secret["data.a"]
    assert "hunter2" not in secret["data.a"]
    assert "must be base64" in config["binaryData.a"]


def test_a_cluster_scoped_runtime_has_no_namespace():
    # Act
    found = document(runtime(namespace="team-a"))

    # Assert
    assert (found.namespace, found.object) == ("", "ClusterTrainingRuntime/torch")
    (fault,) = found.faults
    assert (fault.severity, fault.path) == ("warning", "metadata.namespace")
