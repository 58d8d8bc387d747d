"""A plan as data and back; and any plan in all of its forms."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PlanError
from reconciler.plan.plan_hash import spec_hash
from reconciler.plan.serialization import from_data, to_data
from tests.plan.manifests import container, plan_of, rendered_job, runtime, step, trainjob


def test_a_plan_comes_back_equal() -> None:
    secret = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    mounts = [{"name": "conf", "mountPath": "/etc/k", "subPath": "k"}]
    volumes = [{"name": "conf", "configMap": {"name": "c"}}]
    node = container(env=[secret], volumeMounts=mounts)
    annotations = {"reconciler.trainer.kubeflow.org/x": "y"}
    runtime_manifest = runtime(step("node", node, pod={"volumes": volumes}))
    plan = plan_of(trainjob({"numNodes": 2}, annotations=annotations), runtime_manifest)

    text = json.dumps(to_data(plan))

    assert from_data(json.loads(text)) == plan
    assert from_data(to_data(plan, compact=True)) == plan


def test_data_that_is_no_plan_is_an_error() -> None:
    with pytest.raises(PlanError, match="The stored plan cannot be read"):
        from_data({"name": "demo"})


texts = st.text(max_size=8).filter(lambda text: "\x00" not in text)
trainers = st.fixed_dictionaries(
    {},
    optional={
        "numNodes": st.integers(0, 5),
        "numProcPerNode": st.integers(1, 9),
        "image": texts,
        "command": st.lists(texts, max_size=3),
        "args": st.lists(texts, max_size=3),
        "env": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["A", "B", "RANK"]), "value": texts}),
            unique_by=lambda v: v["name"],
        ),
        "resourcesPerNode": st.fixed_dictionaries(
            {
                "limits": st.dictionaries(
                    st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), st.integers(0, 8)
                )
            }
        ),
    },
)
policies = st.sampled_from(
    [{"torch": {}}, {"jax": {}}, {"xgboost": {}}, {"flux": {}}, {"mpi": {}}, {"numNodes": 3}]
)


@given(trainers, policies)
def test_any_trainer_can_be_planned_serialized_rendered_and_hashed(
    trainer: dict[str, Any], policy: dict[str, Any]
) -> None:
    job = trainjob(trainer)
    before = copy.deepcopy(job)

    plan = plan_of(job, runtime(policy=policy))

    assert job == before
    assert plan == plan_of(job, runtime(policy=policy))
    assert from_data(json.loads(json.dumps(to_data(plan)))) == plan
    assert spec_hash(from_data(to_data(plan))) == spec_hash(plan)
    assert len(rendered_job(plan)["containers"]) == sum(len(pod.containers) for pod in plan.pods)
