"""Names, labels and fields of pods."""

from __future__ import annotations

from typing import Any

from reconciler.plan.job_plan import HostEntry
from tests.plan.manifests import (
    container,
    env,
    plan_of,
    runtime,
    step,
    trainjob,
)


def with_pod(**pod: Any) -> dict[str, Any]:
    return runtime(step("node", container(), pod=pod))


def test_nodes_are_named_by_rank_and_other_pods_by_step_and_index() -> None:
    runtime_manifest = runtime(
        step("one", container("one")),
        step("many", container("many"), job={"parallelism": 2}),
        step("node"),
    )

    plan = plan_of(trainjob(), runtime_manifest)

    assert [pod.name for pod in plan.pods] == ["demo-node-0", "demo-one", "demo-many-0", "demo-many-1"]
    assert plan.network == "demo-net"


def test_a_namespace_prefixes_names() -> None:
    plan = plan_of(trainjob(namespace="team"))

    pod = plan.pods[0]
    assert (plan.network, pod.name, pod.hostname) == (
        "team.demo-net",
        "team.demo-node-0",
        "team-demo-node-0",
    )


def test_a_long_job_name_shortens_the_host_name_only() -> None:
    plan = plan_of(trainjob(name="j" * 63))

    pod = plan.pods[0]
    assert pod.name == "j" * 63 + "-node-0"
    assert len(pod.hostname) == 63
    assert pod.hostname.endswith("-0")


def test_every_pod_has_its_names_on_a_cluster() -> None:
    plan = plan_of(trainjob({"numNodes": 2}))

    assert plan.hosts[1] == HostEntry(
        address="$(node-1.ip)",
        names=(
            "demo-node-1",
            "demo-node-0-1",
            "demo-node-0-1.demo",
            "demo-node-0-1.demo.default.svc.cluster.local",
        ),
    )


def test_the_subdomain_of_the_jobset_is_used() -> None:
    plan = plan_of(trainjob(), runtime(jobset={"network": {"subdomain": "sub"}}))

    assert "demo-node-0-0.sub" in plan.hosts[0].names
    assert "demo-node-0-0.sub" in plan.pods[0].aliases


def test_replicas_of_an_unlabelled_replicated_job_are_jobs_of_their_own() -> None:
    runtime_manifest = runtime(step("ps", container("ps"), replicas=2, job={"parallelism": 2}), step("node"))

    pods = plan_of(trainjob(), runtime_manifest).step("ps").pods

    assert [pod.name for pod in pods] == ["demo-ps-0", "demo-ps-1", "demo-ps-2", "demo-ps-3"]
    assert [pod.labels["jobset.sigs.k8s.io/job-index"] for pod in pods] == ["0", "0", "1", "1"]
    assert pods[3].aliases[0] == "demo-ps-1-1"


def test_jobs_of_a_group_are_counted_together() -> None:
    keys = [f"jobset.sigs.k8s.io/{key}" for key in ("group-name", "group-replicas", "job-group-index")]
    variables = [
        {"name": f"G{n}", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{key}']"}}}
        for n, key in enumerate(keys)
    ]
    runtime_manifest = runtime(
        step("ps", container("ps", env=variables), groupName="core", replicas=2),
        step("web", container("web", env=variables)),
        step("node", container(env=variables), groupName="core"),
    )

    plan = plan_of(trainjob(), runtime_manifest)

    groups = {pod.name: [env(pod.containers[0])[f"G{n}"] for n in range(3)] for pod in plan.pods}
    assert groups == {
        "demo-ps-0": ["core", "3", "0"],
        "demo-ps-1": ["core", "3", "1"],
        "demo-web": ["default", "1", "0"],
        "demo-node-0": ["core", "3", "2"],
    }
    labels = {pod.name: [pod.labels.get(key) for key in keys] for pod in plan.pods}
    assert labels == {**groups, "demo-web": [None] * 3}


def test_the_container_called_node_has_the_pods_name() -> None:
    plan = plan_of(trainjob(), runtime(step("node", container("side"), container())))

    assert [(c.name, c.primary) for c in plan.pods[0].containers] == [
        ("demo-node-0-side", False),
        ("demo-node-0", True),
    ]


def test_init_containers_come_first_and_one_that_always_restarts_is_a_sidecar() -> None:
    pod = {"initContainers": [container("prep"), container("proxy", restartPolicy="Always")]}

    plan = plan_of(trainjob(), runtime(step("node", container(), pod=pod)))

    assert [(c.container, c.kind) for c in plan.pods[0].containers] == [
        ("prep", "init"),
        ("proxy", "sidecar"),
        ("node", "main"),
    ]


def test_host_dns_and_other_fields_are_planned() -> None:
    pod = {
        "hostAliases": [{"ip": "10.1.1.1", "hostnames": ["db", "db.local"]}],
        "hostPID": True,
        "hostIPC": True,
        "shareProcessNamespace": True,
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["1.1.1.1"],
            "searches": ["corp"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
        },
        "terminationGracePeriodSeconds": 0,
        "imagePullSecrets": [{"name": "reg"}],
    }

    got = plan_of(trainjob(), with_pod(**pod)).pods[0]

    assert got.host_aliases == (HostEntry(address="10.1.1.1", names=("db", "db.local")),)
    assert (got.host_pid, got.host_ipc, got.share_process_namespace, got.host_network) == (
        True,
        True,
        True,
        False,
    )
    assert (got.dns_servers, got.dns_searches, got.dns_options) == (
        ("1.1.1.1",),
        ("corp",),
        ("ndots:2", "rotate"),
    )
    assert (got.dns_policy, got.termination_grace, got.pull_secrets) == ("None", 0, ("reg",))
