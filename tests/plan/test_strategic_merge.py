"""Runtime patches: Kubernetes' strategic merge."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PlanError
from reconciler.plan.strategic_merge import apply_patches, merge
from tests.plan.manifests import container, env, only, patch, plan_of, runtime, step, trainjob

names = st.sampled_from("abcdef")
env_lists = st.lists(
    st.fixed_dictionaries({"name": names, "value": st.text(max_size=3)}), unique_by=lambda v: v["name"]
)


def test_maps_merge_key_by_key() -> None:
    assert merge({"nodeSelector": {"a": "1", "b": "2"}}, {"nodeSelector": {"b": "3"}}) == {
        "nodeSelector": {"a": "1", "b": "3"}
    }


def test_lists_without_a_merge_key_are_replaced() -> None:
    before = {"tolerations": [{"key": "a"}], "args": ["x", "y"]}

    after = merge(before, {"tolerations": [{"key": "b"}], "args": ["z"]})

    assert after == {"tolerations": [{"key": "b"}], "args": ["z"]}


def test_absent_values_change_nothing() -> None:
    before = {"tolerations": [{"key": "a"}], "serviceAccountName": "sa"}

    assert merge(before, {"tolerations": [], "serviceAccountName": None}) == before


def test_mounts_merge_by_path_and_keep_the_rest_of_an_item() -> None:
    before = {"volumeMounts": [{"name": "a", "mountPath": "/a", "readOnly": True}]}

    after = merge(before, {"volumeMounts": [{"name": "b", "mountPath": "/a"}]})

    assert after == {"volumeMounts": [{"name": "b", "mountPath": "/a", "readOnly": True}]}


def test_new_items_come_before_later_items_of_the_runtime() -> None:
    # As strategicpatch does it: what the patch does not name is put in where both orders allow.
    before = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}

    after = merge(before, {"env": [{"name": "A", "value": "x"}, {"name": "N", "value": "n"}]})

    assert [v["name"] for v in after["env"]] == ["A", "N", "B"]


def test_a_value_and_a_reference_replace_each_other() -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    before = {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": reference}]}

    after = merge(before, {"env": [{"name": "A", "valueFrom": reference}, {"name": "B", "value": "2"}]})

    assert after["env"] == [{"name": "A", "valueFrom": reference}, {"name": "B", "value": "2"}]


def test_a_volume_of_two_kinds_is_an_error() -> None:
    runtime_manifest = runtime(step("node", container(), pod={"volumes": [{"name": "data", "emptyDir": {}}]}))
    job = trainjob(runtimePatches=[patch(volumes=[{"name": "data", "hostPath": {"path": "/srv"}}])])

    with pytest.raises(PlanError, match="'data' both emptyDir and hostPath") as refused:
        plan_of(job, runtime_manifest)

    assert refused.value.path == "spec.runtimePatches"


def test_patches_apply_in_order() -> None:
    patches = [
        patch(manager="a.io/x", containers=[{"name": "side", "env": [{"name": "A", "value": "1"}]}]),
        patch(manager="b.io/x", containers=[{"name": "side", "env": [{"name": "A", "value": "2"}]}]),
    ]
    runtime_manifest = runtime(step("node", container(), container("side")))

    plan = plan_of(trainjob(runtimePatches=patches), runtime_manifest)

    assert env(only(plan, name="side"))["A"] == "2"


def test_a_patch_applies_only_to_the_replicated_job_it_names() -> None:
    runtime_manifest = runtime(step("node"), step("other", container("other")))

    plan = plan_of(
        trainjob(runtimePatches=[patch("other", terminationGracePeriodSeconds=5)]), runtime_manifest
    )

    assert plan.step("other").pods[0].termination_grace == 5
    assert plan.step("node").pods[0].termination_grace == 30


def test_labels_of_a_patch_belong_to_the_job_as_a_whole() -> None:
    layer = {
        "manager": "a.io/x",
        "trainingRuntimeSpec": {"template": {"metadata": {"labels": {"team": "ml"}}}},
    }

    template = apply_patches({"metadata": {"labels": {"tier": "a"}}, "spec": {}}, [layer])

    assert template["metadata"]["labels"] == {"tier": "a", "team": "ml"}


@given(env_lists, env_lists)
def test_merging_changes_neither_side_and_keeps_every_name_once(before: list, after: list) -> None:
    original, layer = {"env": before}, {"env": after}
    kept = copy.deepcopy((original, layer))

    result = merge(original, layer)["env"]

    assert (original, layer) == kept
    assert sorted(v["name"] for v in result) == sorted({v["name"] for v in (*before, *after)})
    assert {v["name"]: v["value"] for v in result} == {v["name"]: v["value"] for v in (*before, *after)}


@given(env_lists)
def test_merging_twice_is_merging_once(layer: list) -> None:
    once = merge({"env": [{"name": "a", "value": "0"}, {"name": "z", "value": "0"}]}, {"env": layer})

    assert {v["name"]: v["value"] for v in merge(once, {"env": layer})["env"]} == {
        v["name"]: v["value"] for v in once["env"]
    }
