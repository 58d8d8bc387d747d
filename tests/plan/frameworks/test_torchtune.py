"""torchtune: recipe, config and rendezvous in the command."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.job_plan import JobPlan
from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def tune(trainer: dict[str, Any], gpus: int = 2, name: str = "torchtune-llama3.3-70b") -> JobPlan:
    command = ["tune", "run", "full", "--config", "x", "output_dir=/out", "tokenizer.merges_file=/m"]
    node = container(command=command, resources={"limits": {"nvidia.com/gpu": gpus}})
    job = trainjob({"command": ["tune", "run"], **trainer}, runtimeRef={"name": name})
    return plan_of(job, runtime(step("node", node), name=name))


@pytest.mark.parametrize(
    ("trainer", "gpus", "recipe", "config"),
    [
        ({}, 2, "full_finetune_distributed", "llama3_3/70B_full"),
        ({}, 1, "full_finetune_single_device", "llama3_3/70B_full_single_device"),
        ({"numProcPerNode": 1}, 2, "full_finetune_single_device", "llama3_3/70B_full_single_device"),
        ({"numNodes": 2}, 1, "full_finetune_distributed", "llama3_3/70B_full_multinode"),
        ({"args": ["model.lora_attn_modules=[q]"]}, 2, "lora_finetune_distributed", "llama3_3/70B_lora"),
        (
            {"args": ["model.lora_attn_modules=[q]", "model.quantize_base=True"]},
            1,
            "lora_finetune_single_device",
            "llama3_3/70B_qlora_single_device",
        ),
        (
            {"args": ["model.lora_attn_modules=[q]", "model.quantize_base=True", "model.use_dora=True"]},
            2,
            "lora_finetune_distributed",
            "llama3_3/70B_lora",
        ),
        (
            {"args": ["model.quantize_base=True", "model.use_dora=False"]},
            2,
            "lora_finetune_distributed",
            "llama3_3/70B_qlora",
        ),
        ({"args": ["model.quantize_base=False"]}, 2, "full_finetune_distributed", "llama3_3/70B_full"),
    ],
)
def test_recipe_and_config_follow_devices_nodes_and_arguments(
    trainer: dict[str, Any], gpus: int, recipe: str, config: str
) -> None:
    plan = tune(trainer, gpus)

    command = list(only(plan).command or ())
    single = "single_device" in recipe
    assert command[:2] == ["tune", "run"]
    assert ("--rdzv_endpoint=$(node-0.ip):$(job.port)" in command) is not single
    assert command[command.index(recipe) :] == [
        recipe,
        "--config",
        config,
        "output_dir=/out",
        "tokenizer.merges_file=/m",
    ]
    assert list(only(plan).args or ()) == trainer.get("args", [])
    assert plan.framework == "torchtune"


def test_the_rendezvous_is_in_the_command_not_in_the_environment() -> None:
    names = env(only(tune({}))).keys()

    assert {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK"} <= names
    assert not {"PET_MASTER_ADDR", "PET_MASTER_PORT"} & names


def test_a_longer_command_is_not_torchtune() -> None:
    plan = plan_of(trainjob({"command": ["tune", "run", "mine"]}))

    assert plan.framework == "torch"
    assert only(plan).command == ("tune", "run", "mine")
