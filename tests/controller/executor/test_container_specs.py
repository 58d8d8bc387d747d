"""Container specifications: names, labels, addresses, shared namespaces, devices, volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.executor.container_mounts import volume_specs
from reconciler.controller.executor.container_specs import build_container_spec
from reconciler.controller.executor.placement import Host, Placement
from reconciler.controller.plan_cache import PlanCache
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec
from reconciler.names import LABEL_DEVICES, LABEL_INSTANCE, LABEL_JOB, LABEL_RANK, LABEL_RESTART, LABEL_UID
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.progress_reporting import remove_reporting
from reconciler.state.record import ExitRecord, Record
from tests.simulation.manifests import job, runtime, step

NETWORK = NetworkState(id="n1", name="demo-net", labels={}, subnet="10.7.0.0/24", gateway="10.7.0.1")
HOST = Host(instance="me", files="/state/files/default/demo", memory=8 << 30)


def planned(raw: dict[str, Any]) -> tuple[JobPlan, Record]:
    record = Record(
        namespace="default", name="demo", uid="u1", created_at=0.0, job=job("demo", "r"), runtime=raw
    )
    return remove_reporting(PlanCache().plan(record)), record


def spec_of(plan: JobPlan, record: Record, name: str) -> ContainerSpec:
    addresses = plan_addresses(plan, NETWORK.subnet, NETWORK.gateway)
    placement = Placement(host=HOST, network=NETWORK, addresses=addresses, port=29500, spec_hash="abc")
    pod, container = next((p, c) for p in plan.pods for c in p.containers if c.name == name)
    return build_container_spec(
        plan, pod, container, record=record, placement=placement, lookup=lambda _kind, _name: None
    )


def pods(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    pod = {"containers": list(containers), **({"initContainers": list(init)} if init else {})}
    return runtime("r", step("node", pod=pod), nodes=1)


def box(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "example.test/train:1", **fields}


def test_labels_name_the_owner_and_the_run() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=2))
    record = record.with_container("demo-node-1", restart=3)
    labels = spec_of(plan, record, "demo-node-1").labels
    assert labels[LABEL_JOB] == "demo"
    assert labels[LABEL_INSTANCE] == "me"
    assert (labels[LABEL_UID], labels[LABEL_RANK], labels[LABEL_RESTART]) == ("u1", "1", "3")


def test_ranks_have_addresses_in_order_and_rank_0s_as_master() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=3))
    specs = [spec_of(plan, record, f"demo-node-{n}") for n in range(3)]
    assert [s.address for s in specs] == ["10.7.0.2", "10.7.0.3", "10.7.0.4"]
    assert {s.env["MASTER_ADDR"] for s in specs} == {"10.7.0.2"}
    assert [s.env["RANK"] for s in specs] == ["0", "1", "2"]


def test_an_address_does_not_change_with_attempts_or_restarts() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=2))
    later = record.model_copy(update={"attempt": 5}).with_container("demo-node-1", restart=2)
    assert spec_of(plan, record, "demo-node-1").address == spec_of(plan, later, "demo-node-1").address


def test_the_script_can_tell_which_attempt_it_is() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=1))
    later = record.model_copy(update={"attempt": 2})
    assert spec_of(plan, later, "demo-node-0").env["RECONCILER_ATTEMPT"] == "2"


def test_a_second_container_shares_the_primarys_network() -> None:
    plan, record = planned(pods(box("node"), box("helper")))
    owner, helper = spec_of(plan, record, "demo-node-0"), spec_of(plan, record, "demo-node-0-helper")
    assert (owner.network, owner.share_network_with) == ("demo-net", "")
    assert (helper.network, helper.address, helper.hostname) == ("", "", "")
    assert helper.share_network_with == "demo-node-0"


def test_a_native_sidecar_owns_the_network_and_all_after_it_share_it() -> None:
    init = (box("fetch"), box("proxy", restartPolicy="Always"), box("check"))
    plan, record = planned(pods(box("node"), init=init))
    names = ("fetch", "proxy", "check", None)
    specs = {n: spec_of(plan, record, f"demo-node-0-{n}" if n else "demo-node-0") for n in names}
    assert specs["fetch"].address == "10.7.0.2"
    assert specs["proxy"].address == "10.7.0.2"
    assert specs["check"].share_network_with == "demo-node-0-proxy"
    assert specs[None].share_network_with == "demo-node-0-proxy"


def test_a_container_that_restarts_after_the_owner_succeeded_takes_over_its_address() -> None:
    plan, record = planned(pods(box("node"), box("helper")))
    done = record.with_container("demo-node-0", result=ExitRecord(code=0))
    helper = spec_of(plan, done, "demo-node-0-helper")
    assert (helper.address, helper.share_network_with) == ("10.7.0.2", "")


def test_a_pod_on_the_hosts_network_has_no_address() -> None:
    pod = {"hostNetwork": True, "containers": [box("node")]}
    plan, record = planned(runtime("r", step("node", pod=pod), nodes=1))
    spec = spec_of(plan, record, "demo-node-0")
    assert spec.host_network
    assert (spec.network, spec.address) == ("", "")


def test_each_container_of_a_pod_gets_its_share_of_the_devices() -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    plan, record = planned(pods(box("node", **gpu), box("helper", **gpu)))
    record = record.model_copy(update={"devices": {"demo-node-0": {"nvidia.com/gpu": ("2", "5")}}})
    owner, helper = spec_of(plan, record, "demo-node-0"), spec_of(plan, record, "demo-node-0-helper")
    assert owner.devices == {"nvidia.com/gpu": ("2",)}
    assert helper.devices == {"nvidia.com/gpu": ("5",)}
    assert helper.labels[LABEL_DEVICES] == "nvidia.com/gpu=5"


def test_scratch_space_is_a_volume_per_pod_without_the_uid() -> None:
    volumes = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    mounts = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    plan, record = planned(runtime("r", step("node", pod=volumes, container=mounts), nodes=2))
    made = [v for i in plan.pods for v in volume_specs(plan, i, record, HOST)]
    assert [v.name for v in made] == ["demo-node-0-scratch", "demo-node-1-scratch"]
    assert all(LABEL_UID not in v.labels for v in made)
    (mount,) = spec_of(plan, record, "demo-node-1").mounts
    assert (mount.kind, mount.source, mount.target) == ("volume", "demo-node-1-scratch", "/scratch")


def test_shared_memory_is_half_of_the_hosts_unless_limited() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=1))
    assert spec_of(plan, record, "demo-node-0").shm_size == 4 << 30
    limited = step("node", container={"resources": {"limits": {"memory": "1Gi"}}})
    plan, record = planned(runtime("r", limited, nodes=1))
    assert spec_of(plan, record, "demo-node-0").shm_size == 1 << 30


def test_a_cpu_request_becomes_a_weight_and_a_limit_a_limit() -> None:
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}
    plan, record = planned(runtime("r", step("node", container={"resources": resources}), nodes=1))
    spec = spec_of(plan, record, "demo-node-0")
    assert (spec.cpu_shares, spec.cpu_limit) == (512, 2.0)


def test_the_pods_own_labels_do_not_win_over_the_projects() -> None:
    plan, record = planned(runtime("r", step("node"), nodes=1))
    pod = plan.step("node").pods[0]
    spoofed = replace(pod, labels={LABEL_INSTANCE: "somebody", "team": "x"})
    plan = replace(plan, steps=(replace(plan.step("node"), pods=(spoofed,)),))
    labels = spec_of(plan, record, "demo-node-0").labels
    assert labels[LABEL_INSTANCE] == "me"
    assert labels["team"] == "x"


DATA = {"name": "v", "hostPath": {"path": "/data"}}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"securityContext": {"runAsUser": 1000}, "volumes": [DATA]}, (1000, 1000)),
        ({"securityContext": {"runAsUser": 1000, "runAsGroup": 50}, "volumes": [DATA]}, (1000, 50)),
        ({"securityContext": {"runAsUser": 0}, "volumes": [DATA]}, None),
        ({"volumes": [DATA]}, None),
        ({"securityContext": {"runAsUser": 1000}}, None),
        ({"securityContext": {"runAsUser": 1000}, "volumes": [DATA], "hostNetwork": True}, None),
        (
            {
                "securityContext": {"runAsUser": 1000},
                "volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}}],
            },
            (1000, 1000),
        ),
        (
            {
                "securityContext": {"runAsUser": 1000},
                "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "a"}]}}],
            },
            None,
        ),
    ],
)
def test_the_primarys_user_maps_to_the_hosts_user_in_the_whole_pod(
    pod: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    containers = {"containers": [box("node"), box("second")]}
    raw = runtime("r", step("node", pod={**containers, **pod}), nodes=1)

    plan, record = planned(raw)

    specs = [spec_of(plan, record, c.name) for c in plan.pods[0].containers]
    assert [spec.host_user for spec in specs] == [expected, expected]


def test_ports_are_passed_on() -> None:
    plan, record = planned(pods(box("node", ports=[{"containerPort": 80}])))

    assert spec_of(plan, record, "demo-node-0").ports == (80,)


MEMORY = {"name": "m", "emptyDir": {"medium": "Memory"}}


@pytest.mark.parametrize(
    ("sub_paths", "kind"),
    [
        ([""], "tmpfs"),
        (["", ""], "volume"),
        (["", "a"], "volume"),
        (["a", "b"], "tmpfs"),
        (["a", "ab"], "tmpfs"),
    ],
)
def test_a_memory_volume_mounted_at_two_places_is_one_volume(sub_paths: list[str], kind: str) -> None:
    mounts = [
        {"name": "m", "mountPath": f"/m{number}", **({"subPath": path} if path else {})}
        for number, path in enumerate(sub_paths)
    ]

    pod = {"containers": [box("node", volumeMounts=mounts)], "volumes": [MEMORY]}
    plan, record = planned(runtime("r", step("node", pod=pod), nodes=1))

    assert {mount.kind for mount in spec_of(plan, record, "demo-node-0").mounts} == {kind}
