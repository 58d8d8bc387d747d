"""Volumes and mounts."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import PlanError
from reconciler.plan.job_plan import EnvFrom, FileSource, KeyRef, VolumePlan
from tests.plan.manifests import (
    container,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def volume(source: dict[str, Any]) -> VolumePlan:
    runtime_manifest = runtime(step("node", container(), pod={"volumes": [{"name": "v", **source}]}))
    (planned,) = plan_of(trainjob(), runtime_manifest).step("node").pods[0].volumes
    return planned


def with_pod(**pod: Any) -> dict[str, Any]:
    return runtime(step("node", container(), pod=pod))


def with_node(**fields: Any) -> dict[str, Any]:
    return runtime(step("node", container(**fields)))


def test_an_empty_dir_is_scratch_space() -> None:
    assert volume({"emptyDir": {"sizeLimit": "1Gi"}}).kind == "scratch"


def test_an_empty_dir_in_memory_has_its_limit_in_bytes() -> None:
    planned = volume({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}})

    assert (planned.kind, planned.size) == ("memory", 64 * 2**20)


def test_a_host_path_has_one_of_the_known_types() -> None:
    with pytest.raises(PlanError, match="type 'directory', which there is not"):
        volume({"hostPath": {"path": "/srv", "type": "directory"}})
    planned = volume({"hostPath": {"path": "/srv", "type": "DirectoryOrCreate"}})

    assert (planned.kind, planned.source, planned.host_type) == ("host", "/srv", "DirectoryOrCreate")


def test_a_claim_is_a_retained_volume_of_the_engine() -> None:
    planned = volume({"persistentVolumeClaim": {"claimName": "data"}})

    assert (planned.kind, planned.source, planned.retain) == ("named", "data", True)


def test_a_config_map_has_files_of_all_keys_or_of_its_items() -> None:
    whole = volume({"configMap": {"name": "c", "defaultMode": 0o400, "optional": True}})
    some = volume({"configMap": {"name": "c", "items": [{"key": "k", "path": "d/k", "mode": 0o600}]}})

    assert (whole.all_keys_of, whole.default_mode) == (
        (EnvFrom(kind="ConfigMap", name="c", optional=True),),
        0o400,
    )
    assert some.files == (
        FileSource(path="d/k", ref=KeyRef(kind="ConfigMap", name="c", key="k"), mode=0o600),
    )


def test_projected_sources_are_files_of_one_volume() -> None:
    sources = [
        {"secret": {"name": "s"}},
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "k"}]}},
        {"downwardAPI": {"items": [{"path": "ip", "fieldRef": {"fieldPath": "status.podIP"}}]}},
    ]

    planned = volume({"projected": {"sources": sources}})

    assert planned.all_keys_of == (EnvFrom(kind="Secret", name="s"),)
    assert [f.path for f in planned.files] == ["k", "ip"]
    assert planned.files[1].content == "$(node-0.ip)"


def test_storage_of_a_cluster_is_scratch_space_with_a_warning() -> None:
    runtime_manifest = with_pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}])

    plan = plan_of(trainjob(), runtime_manifest)

    assert plan.pods[0].volumes[0].kind == "scratch"
    assert [path for path, _ in plan.warnings] == [
        "spec.template.spec.replicatedJobs[0].template.spec.template.spec.volumes[0].nfs"
    ]


def test_volume_claim_policies_reach_the_pods_that_mount_them() -> None:
    mounts = [{"name": "work", "mountPath": "/work"}]
    policies = [{"templates": [{"metadata": {"name": "work"}, "spec": {}}]}]
    runtime_manifest = runtime(
        step("prep", container("prep", volumeMounts=mounts)),
        step("other", container("other")),
        step("node", container(volumeMounts=mounts)),
        jobset={"volumeClaimPolicies": policies},
    )

    plan = plan_of(trainjob(), runtime_manifest)

    assert [v.source for pod in plan.pods for v in pod.volumes] == ["demo-work", "demo-work"]
    assert plan.step("other").pods[0].volumes == ()
    assert not plan.step("node").pods[0].volumes[0].retain


def test_a_volume_claim_policy_may_retain_its_claims() -> None:
    policy = {"templates": [{"metadata": {"name": "work"}}], "retentionPolicy": {"whenDeleted": "Retain"}}
    node = container(volumeMounts=[{"name": "work", "mountPath": "/work"}])

    plan = plan_of(
        trainjob(namespace="team"), runtime(step("node", node), jobset={"volumeClaimPolicies": [policy]})
    )

    (kept,) = plan.pods[0].volumes
    assert (kept.source, kept.retain) == ("team.demo-work", True)


def test_a_mount_of_a_missing_volume_is_an_error() -> None:
    with pytest.raises(PlanError, match="mounts the volume 'gone', which its pod does not have"):
        plan_of(trainjob(), with_node(volumeMounts=[{"name": "gone", "mountPath": "/x"}]))


def test_two_mounts_at_one_path_are_an_error() -> None:
    mounts = [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x/"}]
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]

    with pytest.raises(PlanError, match="mounts two volumes at /x"):
        plan_of(trainjob(), runtime(step("node", container(volumeMounts=mounts), pod={"volumes": volumes})))


@pytest.mark.parametrize(
    "source",
    [
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "../../etc/x"}]}},
        {"secret": {"secretName": "s", "items": [{"key": "k", "path": "/etc/x"}]}},
        {"downwardAPI": {"items": [{"path": "a/../../x", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"hostPath": {"path": "/srv/../etc"}},
    ],
)
def test_a_path_out_of_its_volume_is_an_error(source: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="leads out of the volume"):
        volume(source)


def test_a_sub_path_out_of_its_volume_is_an_error() -> None:
    mounts = [{"name": "v", "mountPath": "/v", "subPath": "../x"}]
    runtime_manifest = runtime(
        step("node", container(volumeMounts=mounts), pod={"volumes": [{"name": "v", "emptyDir": {}}]})
    )

    with pytest.raises(PlanError, match="the mount at /v leads out"):
        plan_of(trainjob(), runtime_manifest)


def test_mounts_of_a_read_only_claim_are_read_only() -> None:
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
    node = container(volumeMounts=[{"name": "v", "mountPath": "/v"}])

    plan = plan_of(trainjob(), runtime(step("node", node, pod={"volumes": [claim]})))

    assert only(plan).mounts[0].read_only
