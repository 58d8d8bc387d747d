"""TrainJob specs by case, for both packages; as a program, it prints those of the SDK's Kubernetes backend.

Usage: trainjob_specs.py kubeflow.trainer
"""

import importlib
import json
import sys


def train_model(lr, names=()):
    print("dollar $HOME", lr, names)


def make_runtime(types, constants, kind):
    """The runtime that ``get_runtime`` returns with torch's, MPI's, no, or torchtune's policy."""
    trainer = types.RuntimeTrainer(
        trainer_type=types.TrainerType.BUILTIN_TRAINER
        if kind == "torchtune"
        else types.TrainerType.CUSTOM_TRAINER,
        framework=kind,
        image="image",
    )
    commands = {
        "torch": constants.TORCH_COMMAND,
        "mpi": constants.MPI_COMMAND,
        "plain": constants.DEFAULT_COMMAND,
        "torchtune": constants.TORCH_TUNE_COMMAND,
    }
    trainer.set_command(commands[kind])
    return types.Runtime(
        name=f"{kind}-runtime", trainer=trainer, kind=types.RuntimeKind.CLUSTER_TRAINING_RUNTIME
    )


def cases(package):
    """By name: runtime, trainer, initializer, options."""
    t = importlib.import_module(f"{package}.types.types")
    c = importlib.import_module(f"{package}.constants.constants")
    o = importlib.import_module(f"{package}.options")
    hf = t.HuggingFaceDatasetInitializer
    patch = o.RuntimePatch(
        o.TrainingRuntimeSpecPatch(
            o.JobSetTemplatePatch(
                metadata={"labels": {"a": "b"}},
                spec=o.JobSetSpecPatch(
                    [
                        o.ReplicatedJobPatch(
                            "node",
                            o.JobTemplatePatch(
                                spec=o.JobSpecPatch(
                                    o.PodTemplatePatch(
                                        spec=o.PodSpecPatch(
                                            node_selector={"disk": "ssd"},
                                            volumes=[{"name": "v", "emptyDir": {}}],
                                            containers=[
                                                o.ContainerPatch(
                                                    "node",
                                                    env=[{"name": "A", "value": "1"}],
                                                    volume_mounts=[{"name": "v", "mountPath": "/v"}],
                                                )
                                            ],
                                        )
                                    )
                                )
                            ),
                        )
                    ]
                ),
            )
        )
    )
    return {
        "function": (
            make_runtime(t, c, "torch"),
            t.CustomTrainer(func=train_model, func_args={"lr": 0.1, "names": ["a"]}),
            None,
            [],
        ),
        "everything": (
            make_runtime(t, c, "plain"),
            t.CustomTrainer(
                func=train_model,
                func_args={"lr": 1},
                num_nodes=3,
                image="mine:1",
                env={"A": "b"},
                resources_per_node={
                    "CPU": 2,
                    "memory": "4Gi",
                    "gpu": 1,
                    "storage": "10Gi",
                    "example.com/X": 2,
                },
            ),
            t.Initializer(
                dataset=t.S3DatasetInitializer(
                    "s3://bucket/data", endpoint="https://s3", ignore_patterns=["a", "b"]
                ),
                model=t.HuggingFaceModelInitializer("hf://org/model", access_token="t"),
            ),
            [o.ActiveDeadlineSeconds(60), patch],
        ),
        "mpi": (make_runtime(t, c, "mpi"), t.CustomTrainer(func=train_model, func_args={"lr": 1}), None, []),
        "mig": (
            make_runtime(t, c, "plain"),
            t.CustomTrainerContainer("mine", resources_per_node={"mig-1g.5gb": 1}),
            None,
            [o.TrainerCommand(["a", "b"]), o.TrainerArgs(["c"])],
        ),
        "cache": (
            make_runtime(t, c, "torch"),
            None,
            t.Initializer(dataset=t.DataCacheInitializer("cache://schema/table", "loc", 3, head_cpu="2")),
            [],
        ),
        "torchtune": (
            make_runtime(t, c, "torchtune"),
            t.BuiltinTrainer(
                t.TorchTuneConfig(
                    dtype=t.DataType.BF16,
                    batch_size=4,
                    epochs=2,
                    loss=t.Loss.CEWithChunkedOutputLoss,
                    num_nodes=2,
                    peft_config=t.LoraConfig(apply_lora_to_mlp=True, lora_rank=8, lora_dropout=0.1),
                    dataset_preprocess_config=t.TorchTuneInstructDataset(
                        source=t.DataFormat.PARQUET,
                        split="train[:10%]",
                        train_on_input=False,
                        column_map={"input": "q"},
                    ),
                    resources_per_node={"gpu": 2},
                )
            ),
            t.Initializer(dataset=hf("hf://tatsu-lab/alpaca/data/train.parquet")),
            [],
        ),
        "torchtune-folder": (
            make_runtime(t, c, "torchtune"),
            t.BuiltinTrainer(t.TorchTuneConfig()),
            t.Initializer(dataset=hf("tatsu-lab/alpaca")),
            [],
        ),
        "nothing": (make_runtime(t, c, "torch"), None, None, []),
    }


def main():
    """Prints the SDK's specs, without a cluster: only the method that builds the spec is called."""
    from kubeflow.trainer.backends.kubernetes.backend import KubernetesBackend  # noqa: PLC0415

    backend = KubernetesBackend.__new__(KubernetesBackend)
    found = {}
    for name, (runtime, trainer, initializer, options) in cases(sys.argv[1]).items():
        chosen = {}
        for option in options:
            option(chosen, trainer, backend)
        extra = chosen.get("spec", {})
        spec = backend._get_trainjob_spec(
            runtime=runtime,
            initializer=initializer,
            trainer=trainer,
            trainer_overrides=extra.get("trainer", {}),
            runtime_patches=extra.get("runtimePatches"),
            active_deadline_seconds=extra.get("activeDeadlineSeconds"),
        )
        found[name] = spec.to_dict()
    print("SPECS " + json.dumps(found, default=str))


if __name__ == "__main__":
    main()
