"""What ``plan -o json`` shows, what is stored, and what is compared."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PlanError
from reconciler.plan import from_data, render_job, spec_hash, to_data
from tests.plan.manifests import container, plan_of, runtime, step, trainjob

SECRET = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
CONFIG = {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}


def lookup(kind: str, name: str) -> dict[str, bytes | str] | None:
    return {"k": "value"} if name in ("s", "c") else None


def with_values() -> dict[str, Any]:
    volumes = [{"name": "keys", "secret": {"secretName": "s"}}, {"name": "conf", "configMap": {"name": "c"}}]
    mounts = [{"name": "keys", "mountPath": "/keys"}, {"name": "conf", "mountPath": "/etc/k", "subPath": "k"}]
    node = container(
        env=[SECRET, CONFIG], envFrom=[{"secretRef": {"name": "s"}}], args=["$(T)"], volumeMounts=mounts
    )
    return runtime(step("node", node, pod={"volumes": volumes}))


class TestRendering:
    def test_the_shape_is_the_contracts(self) -> None:
        shown = render_job(plan_of(trainjob()))

        assert {
            "namespace",
            "name",
            "nodes",
            "network",
            "labels",
            "annotations",
            "steps",
            "containers",
            "volumes",
            "files",
        } <= shown.keys()
        assert {
            *(
                "name",
                "step",
                "index",
                "rank",
                "container",
                "kind",
                "image",
                "command",
                "args",
                "env",
                "env_from",
            ),
            *("resources", "mounts", "ports", "labels", "annotations", "securityContext"),
        } <= shown["containers"][0].keys()
        assert json.loads(json.dumps(shown)) == shown

    def test_secrets_are_masked_wherever_they_would_show(self) -> None:
        plan = plan_of(trainjob(), with_values())

        for source in (lookup, None):
            text = json.dumps(render_job(plan, lookup=source)["containers"])

            assert '"T": "****"' in text
            assert '"args": ["****"]' in text

    def test_values_of_config_maps_are_shown_where_they_are_known(self) -> None:
        plan = plan_of(trainjob(), with_values())

        known, unknown = render_job(plan, lookup=lookup), render_job(plan)

        assert known["containers"][0]["env"]["C"] == "value"
        assert unknown["containers"][0]["env"]["C"] == "<ConfigMap c/k>"
        assert known["files"] == {"node:/keys/k": "****", "node:/etc/k": "value"}

    def test_labels_tell_whose_container_it_is(self) -> None:
        labels = render_job(plan_of(trainjob()))["containers"][0]["labels"]

        assert labels["kubeflow.org/job-name"] == labels["trainer.kubeflow.org/trainjob-name"] == "demo"
        assert labels["reconciler.trainer.kubeflow.org/rank"] == "0"


class TestStoring:
    def test_a_plan_comes_back_the_same(self) -> None:
        plan = plan_of(
            trainjob({"numNodes": 2}, annotations={"reconciler.trainer.kubeflow.org/x": "y"}), with_values()
        )

        text = json.dumps(to_data(plan))

        assert from_data(json.loads(text)) == plan
        assert from_data(to_data(plan, compact=True)) == plan

    def test_what_is_no_plan_is_refused(self) -> None:
        with pytest.raises(PlanError, match="The stored plan cannot be read"):
            from_data({"name": "demo"})


class TestHash:
    def test_it_is_the_same_for_maps_in_any_order(self) -> None:
        forwards = trainjob({"resourcesPerNode": {"limits": {"cpu": "1", "memory": "1Gi"}}})
        backwards = trainjob({"resourcesPerNode": {"limits": {"memory": "1Gi", "cpu": "1"}}})

        assert spec_hash(plan_of(forwards)) == spec_hash(plan_of(backwards))

    def test_it_is_known(self) -> None:
        # A change here makes every running container stale after an upgrade: mind what you do.
        plan = plan_of(trainjob({"image": "example/mine:1"}), runtime(policy={"numNodes": 1}))

        assert spec_hash(plan) == "896a9c43a681e001"

    @pytest.mark.parametrize(
        "change",
        [
            {"suspend": True},
            {"activeDeadlineSeconds": 5},
            {
                "runtimePatches": [
                    {
                        "manager": "a.io/x",
                        "trainingRuntimeSpec": {"template": {"metadata": {"labels": {"a": "b"}}}},
                    }
                ]
            },
        ],
    )
    def test_it_does_not_count_what_may_change_while_the_job_runs(self, change: dict[str, Any]) -> None:
        assert spec_hash(plan_of(trainjob(**change))) == spec_hash(plan_of(trainjob()))

    @pytest.mark.parametrize(
        "trainer",
        [
            {"image": "other"},
            {"command": ["x"]},
            {"numNodes": 2},
            {"env": [{"name": "A", "value": "1"}]},
            {"resourcesPerNode": {"limits": {"cpu": "1"}}},
        ],
    )
    def test_it_counts_what_a_container_is(self, trainer: dict[str, Any]) -> None:
        assert spec_hash(plan_of(trainjob(trainer))) != spec_hash(plan_of(trainjob()))

    def test_a_label_called_raw_counts(self) -> None:
        labelled = runtime(step("node", container(), pod_metadata={"labels": {"raw": "x"}}))

        assert spec_hash(plan_of(trainjob(), labelled)) != spec_hash(plan_of(trainjob()))


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
def test_any_trainer_plans_stores_renders_and_hashes(trainer: dict[str, Any], policy: dict[str, Any]) -> None:
    job = trainjob(trainer)
    before = copy.deepcopy(job)

    plan = plan_of(job, runtime(policy=policy))

    assert job == before
    assert plan == plan_of(job, runtime(policy=policy))
    assert from_data(json.loads(json.dumps(to_data(plan)))) == plan
    assert spec_hash(from_data(to_data(plan))) == spec_hash(plan)
    assert len(render_job(plan)["containers"]) == sum(len(i.containers) for i in plan.pods)
