"""Rules of upstream's webhooks: frameworks, initializers, patches, runtimes."""

from __future__ import annotations

import pytest

from tests.api.manifests import container, errors, faults, patch, runtime, step, trainjob, warnings

MOUNT = [{"name": "initializer", "mountPath": "/workspace"}]
CLAIMS = {"volumeClaimPolicies": [{"templates": [{"metadata": {"name": "initializer"}, "spec": {}}]}]}


def _env(*names):
    return {"env": [{"name": name, "value": "x"} for name in names]}


@pytest.mark.parametrize(
    ("policy", "reserved", "free"),
    [
        (
            {"torch": {}},
            ["PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"],
            ["PET_RDZV_BACKEND", "MASTER_ADDR"],
        ),
        (
            {"xgboost": {}},
            ["DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"],
            ["DMLC_ROLE", "PET_NNODES"],
        ),
        (
            {"mpi": {}},
            [
                "OMPI_MCA_orte_default_hostfile",
                "OMPI_MCA_orte_keep_fqdn_hostnames",
                "OMPI_MCA_orte_set_default_slots",
                "OMPI_MCA_plm_rsh_args",
            ],
            ["OMPI_MCA_btl"],
        ),
        ({"jax": {}}, [], ["JAX_NUM_PROCESSES", "JAX_COORDINATOR_ADDRESS"]),
        ({}, [], ["PET_NNODES", "DMLC_TASK_ID"]),
    ],
)
def test_variables_of_a_framework_are_reserved(policy, reserved, free):
    # Act
    found = errors(runtime(policy=policy), trainjob(trainer=_env(*free, *reserved)))

    # Assert
    assert list(found) == [
        f"spec.trainer.env[{index}]" for index in range(len(free), len(free) + len(reserved))
    ]
    for name, message in zip(reserved, found.values(), strict=True):
        assert name in message


def _injecting(name, *steps):
    injection = {"targets": [{"jobName": "node", "containerNames": [name]}]}
    return runtime(policy={"torch": {"envInjection": injection}}, steps=list(steps))


def test_env_injection_may_name_init_containers_and_sidecars():
    node = step(
        ancestor="trainer",
        containers=[container(), container("side")],
        pod={"initContainers": [container("pre")]},
    )
    assert errors(_injecting("side", node), trainjob()) == {}
    assert errors(_injecting("pre", node), trainjob()) == {}


def test_env_injection_of_a_missing_container_is_a_fault_of_the_job():
    # Act
    found = faults(_injecting("preflight", step(ancestor="trainer")), trainjob())

    # Assert
    (fault,) = found
    assert (fault.object, fault.path) == ("TrainJob/default/demo", "spec.runtimeRef")
    assert "preflight" in fault.message


def test_env_injection_of_a_missing_step_is_a_fault_of_the_job():
    found = errors(_injecting("side", step("other")), trainjob())
    assert "replicated job" in found["spec.runtimeRef"]


def _mpi(*names, as_node=True):
    return runtime(policy={"mpi": {"runLauncherAsNode": as_node}}, steps=[step(name) for name in names])


def test_several_mpi_nodes_with_the_launcher_as_node_need_both_jobs():
    two = trainjob(trainer={"numNodes": 2})
    assert "launcher" in errors(_mpi("node"), two)["spec.trainer.numNodes"]
    assert "node" in errors(_mpi("launcher"), two)["spec.trainer.numNodes"]
    assert errors(_mpi("node", "launcher"), two) == {}
    assert errors(_mpi("node"), trainjob(trainer={"numNodes": 1})) == {}
    assert errors(_mpi("node"), trainjob()) == {}
    assert errors(_mpi("node", as_node=False), two) == {}


def test_the_name_of_fluxs_init_container_is_reserved():
    taken = step(pod={"initContainers": [container("flux-installer")]})
    assert (
        "flux-installer" in errors(runtime(policy={"flux": {}}, steps=[taken]), trainjob())["spec.runtimeRef"]
    )
    assert errors(runtime(policy={"torch": {}}, steps=[taken]), trainjob()) == {}


QUEUE = "scheduling.volcano.sh/queue-name"


def test_the_name_of_a_volcano_queue_is_not_empty():
    # Arrange
    gang, plain = runtime(), runtime()
    for obj in (gang, plain):
        obj["spec"]["template"]["metadata"] = {"annotations": {QUEUE: ""}}
    gang["spec"]["podGroupPolicy"] = {"volcano": {}}

    def job(queue):
        template = {"metadata": {"annotations": {QUEUE: queue}}}
        patch = {"manager": "acme.io/x", "trainingRuntimeSpec": {"template": template}}
        return trainjob(runtimePatches=[patch])

    # Act and assert
    assert "queue name must not be empty" in errors(gang, trainjob())["spec.runtimeRef"]
    assert errors(gang, job("high")) == {}
    path = "spec.runtimePatches[0].trainingRuntimeSpec.template.metadata.annotations"
    assert list(errors(gang, job(""))) == [path]
    assert errors(plain, trainjob()) == {}


def _tune(name, *, gpus=0, **trainer):
    resources = {"resources": {"limits": {"nvidia.com/gpu": gpus}}} if gpus else {}
    run = runtime(name, steps=[step(ancestor="trainer", containers=[container(**resources)])])
    return errors(run, trainjob(ref=name, trainer={"command": ["tune", "run"], **trainer}))


@pytest.mark.parametrize("name", ["llama3.2-1b", "llama3.2-3b", "llama3.3-70b", "qwen2.5-1.5b"])
def test_torchtunes_models_are_supported(name):
    assert _tune(f"torchtune-{name}") == {}


@pytest.mark.parametrize(
    "name", ["torchtune-llama3.1-70b", "torchtune", "torchtune-llama3.2-1b-x", "torchtune-mistral-7b"]
)
def test_other_torchtune_models_are_not_supported(name):
    found = _tune(name)
    assert "invalid model configured" in found["spec.runtimeRef.name"]


def test_only_one_model_trains_on_several_nodes_and_none_with_lora():
    assert "must be 1" in _tune("torchtune-llama3.2-1b", numNodes=2)["spec.trainer.numNodes"]
    assert _tune("torchtune-llama3.3-70b", numNodes=2) == {}
    lora = ["model.lora_attn_modules=[q_proj]"]
    assert "LoRA" in _tune("torchtune-llama3.3-70b", numNodes=2, args=lora)["spec.trainer.numNodes"]
    assert _tune("torchtune-llama3.3-70b", numNodes=1, args=lora) == {}


@pytest.mark.parametrize(
    "argument",
    ["output_dir=/x", "tokenizer.path=/x", "tokenizer.merges_file=/x", "checkpointer.checkpoint_dir=/x"],
)
def test_arguments_that_the_runtime_sets_are_rejected(argument):
    found = _tune("torchtune-llama3.2-1b", args=["epochs=1", argument])
    assert list(found) == ["spec.trainer.args[1]"]
    assert argument.split("=")[0] in found["spec.trainer.args[1]"]


QLORA = ["model.lora_attn_modules=[q_proj]", "model.quantize_base=True"]


def test_qlora_needs_one_device_for_small_models_and_is_not_supported_for_qwen():
    both = {"spec.trainer.numProcPerNode", "spec.trainer.resourcesPerNode"}
    assert set(_tune("torchtune-llama3.2-1b", gpus=2, args=QLORA)) == both
    assert _tune("torchtune-llama3.2-1b", gpus=1, args=QLORA) == {}
    assert _tune("torchtune-llama3.2-1b", gpus=2, args=QLORA, numProcPerNode=1) == {}
    assert (
        _tune("torchtune-llama3.2-1b", gpus=2, args=QLORA, resourcesPerNode={"limits": {"amd.com/gpu": 1}})
        == {}
    )
    assert set(_tune("torchtune-qwen2.5-1.5b", gpus=2, args=QLORA)) == {"spec.runtimeRef.name"}
    assert _tune("torchtune-llama3.3-70b", gpus=2, args=QLORA) == {}
    assert _tune("torchtune-llama3.2-1b", gpus=2, args=[*QLORA, "model.use_dora=True"]) == {}
    assert set(_tune("torchtune-llama3.2-1b", gpus=2, args=[*QLORA, "model.use_dora=False"])) == both
    assert _tune("torchtune-qwen2.5-1.5b", gpus=2, args=["model.quantize_base=False"]) == {}


def test_torchs_variables_are_reserved_in_torchtune_jobs():
    found = _tune("torchtune-llama3.2-1b", env=[{"name": "PET_MASTER_ADDR", "value": "x"}])
    assert list(found) == ["spec.trainer.env[0]"]


def test_a_job_with_another_command_is_an_ordinary_torch_job():
    job = trainjob(ref="torchtune-x", trainer={"command": ["tune", "run", "x"], **_env("PET_NNODES")})
    assert list(errors(runtime("torchtune-x"), job)) == ["spec.trainer.env[0]"]


def _initializing(name, **fields):
    first = step(name, ancestor=name, containers=[container(name, **fields)])
    return runtime(steps=[first, step(ancestor="trainer")], jobset=CLAIMS)


@pytest.mark.parametrize(
    ("field", "name"), [("dataset", "dataset-initializer"), ("model", "model-initializer")]
)
def test_an_initializer_needs_its_job_container_and_mount(field, name):
    job = trainjob(initializer={field: {"storageUri": "hf://a/b"}})
    assert f"must have {name} job" in errors(runtime(), job)["spec.runtimeRef"]
    wrong = runtime(steps=[step(name), step(ancestor="trainer")])
    assert f"container with name - {name}" in errors(wrong, job)["spec.runtimeRef"]
    assert "volumeMount with name - initializer" in errors(_initializing(name), job)["spec.runtimeRef"]
    assert errors(_initializing(name, volumeMounts=MOUNT), job) == {}


def test_a_patch_may_give_the_initializers_mount():
    given = patch(
        {"containers": [{"name": "dataset-initializer", "volumeMounts": MOUNT}]}, job="dataset-initializer"
    )
    job = trainjob(initializer={"dataset": {}}, runtimePatches=[given])
    assert errors(_initializing("dataset-initializer"), job) == {}


@pytest.mark.parametrize("manager", ["kueue", "kueue.k8s.io/", "/x", "Kueue.io/x", "a.io/ü", "a.io/x y"])
def test_a_patchs_manager_is_a_domain_prefixed_path(manager):
    found = errors(runtime(), trainjob(runtimePatches=[{"manager": manager}]))
    assert manager in found["spec.runtimePatches[0].manager"]


@pytest.mark.parametrize("manager", ["acme.io/x", "kueue.x-k8s.io/a/b", "local/x"])
def test_domain_prefixed_managers_are_fine(manager):
    assert errors(runtime(), trainjob(runtimePatches=[{"manager": manager}])) == {}


JOBS = "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0]"
POD = f"{JOBS}.template.spec.template.spec"


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        (patch({}, job="worker"), f"{JOBS}.name", "it has: node"),
        (patch({"containers": [{"name": "x"}]}), f"{POD}.containers[0].name", "it has: node, pre, side"),
        (patch({"initContainers": [{"name": "x"}]}), f"{POD}.initContainers[0].name", "initContainer"),
        (
            patch({"containers": [{"name": "node", "env": [{"name": "A", "value": "1"}]}]}),
            f"{POD}.containers[0].env",
            "set spec.trainer.env instead",
        ),
    ],
)
def test_a_patch_needs_an_existing_target_that_it_may_patch(given, path, said):
    run = runtime(
        steps=[step(containers=[container(), container("side")], pod={"initContainers": [container("pre")]})]
    )
    found = errors(run, trainjob(runtimePatches=[given]))
    assert list(found) == [path]
    assert said in found[path]


def test_a_patch_may_set_env_of_sidecars_and_init_containers():
    run = runtime(
        steps=[step(containers=[container(), container("side")], pod={"initContainers": [container("pre")]})]
    )
    env = [{"name": "A", "value": "1"}]
    given = patch(
        {"containers": [{"name": "side", "env": env}], "initContainers": [{"name": "pre", "env": env}]}
    )
    assert errors(run, trainjob(runtimePatches=[given])) == {}


RJOB = "spec.template.spec.replicatedJobs[0]"


@pytest.mark.parametrize(
    ("ancestor", "name"), [("trainer", "node"), ("dataset-initializer", "dataset-initializer")]
)
def test_a_known_ancestor_has_one_replica_and_its_container(ancestor, name):
    fine = step(ancestor=ancestor, containers=[container(name)])
    assert errors(runtime(steps=[fine])) == {}
    assert "always must be 1" in errors(runtime(steps=[{**fine, "replicas": 0}]))[f"{RJOB}.replicas"]
    other = step(ancestor=ancestor, containers=[container("other")])
    assert name in errors(runtime(steps=[other]))[f"{RJOB}.template.spec.template.spec.containers"]


def test_the_webhook_label_disables_only_upstreams_rules():
    # Arrange
    labels = {"trainer.kubeflow.org/webhook-validation": "disabled"}
    two = step(ancestor="trainer", containers=[container("x")], replicas=2)

    # Act and assert
    assert errors(runtime(steps=[two], labels=labels)) == {}
    broken = step(dependsOn=[{"name": "x", "status": "Ready"}])
    assert list(errors(runtime(steps=[broken], labels=labels))) == [f"{RJOB}.dependsOn"]


def test_missing_images_and_volumes_are_warned_about():
    # Arrange
    bare = {"name": "node", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    run = runtime(steps=[step(ancestor="trainer", containers=[bare])])
    volume = patch({"volumes": [{"name": "data", "emptyDir": {}}]})

    # Act
    lacking = [fault.message for fault in faults(run, trainjob())]
    complete = warnings(run, trainjob(trainer={"image": "x"}, runtimePatches=[volume]))

    # Assert
    assert [message for message in lacking if "has no image" in message]
    assert [message for message in lacking if "'data'" in message]
    assert complete == {}


def test_labels_of_patches_are_checked():
    given = patch({})
    jobset = given["trainingRuntimeSpec"]["template"]
    jobset["metadata"] = {"labels": {"a b": "x"}}
    jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["metadata"] = {"labels": {"a": "x y"}}
    assert set(errors(runtime(), trainjob(runtimePatches=[given]))) == {
        "spec.runtimePatches[0].trainingRuntimeSpec.template.metadata.labels[a b]",
        f"{JOBS}.template.spec.template.metadata.labels.a",
    }
