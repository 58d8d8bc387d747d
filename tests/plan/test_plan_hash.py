"""The spec hash: what counts, and that it equals the hash on containers of earlier versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from reconciler.plan import job_plan
from reconciler.plan.plan_hash import spec_hash
from tests.plan.manifests import container, full_plan_of, patch, plan_of, runtime, step, trainjob

PREFIX: Final = "reconciler.trainer.kubeflow.org/"
Golden = tuple[dict[str, Any], dict[str, Any]]

VOLUMES: Final = [
    {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
    {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    {"name": "data", "hostPath": {"path": "/srv/data", "type": "DirectoryOrCreate"}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "datasets", "readOnly": True}},
    {
        "name": "config",
        "configMap": {
            "name": "c",
            "items": [{"key": "k", "path": "d/k", "mode": 0o600}],
            "defaultMode": 0o400,
        },
    },
    {"name": "keys", "secret": {"secretName": "s", "optional": True}},
    {
        "name": "projected",
        "projected": {
            "sources": [
                {"secret": {"name": "s", "items": [{"key": "k", "path": "k", "mode": 0o440}]}},
                {"configMap": {"name": "c"}},
                {
                    "downwardAPI": {
                        "items": [
                            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                            {"path": "ip", "fieldRef": {"fieldPath": "status.podIP"}},
                            {
                                "path": "cpu",
                                "resourceFieldRef": {"containerName": "node", "resource": "limits.cpu"},
                            },
                        ]
                    }
                },
            ]
        },
    },
]
ENV: Final = [
    {"name": "A", "value": "$(RANK)"},
    {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}},
]
ENV_FROM: Final = [
    {"secretRef": {"name": "s"}, "prefix": "P_"},
    {"configMapRef": {"name": "c", "optional": True}},
]


def torch_with_volumes() -> Golden:
    mounts = [
        {"name": "scratch", "mountPath": "/scratch", "subPath": "part"},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "data", "mountPath": "/data", "readOnly": True},
        {"name": "claim", "mountPath": "/claim", "subPathExpr": "run-$(RANK)"},
        {"name": "config", "mountPath": "/etc/config"},
        {"name": "keys", "mountPath": "/keys"},
        {"name": "projected", "mountPath": "/projected"},
        {"name": "work", "mountPath": "/work"},
    ]
    node = container(
        env=ENV,
        envFrom=ENV_FROM,
        volumeMounts=mounts,
        workingDir="/work",
        command=["torchrun"],
        args=["--lr", "$(A)"],
        ports=[{"containerPort": 8080, "name": "web"}],
        resources={"requests": {"memory": "512Mi"}, "limits": {"cpu": "1500m"}},
    )
    claims = [{"templates": [{"metadata": {"name": "work"}, "spec": {}}]}]
    runtime_manifest = runtime(
        step("node", node, pod={"volumes": VOLUMES}, pod_metadata={"labels": {"app": "x", "pods": "y"}}),
        jobset={"volumeClaimPolicies": claims},
    )
    trainer = {
        "numNodes": 2,
        "env": [{"name": "LR", "value": "0.1"}],
        "resourcesPerNode": {"limits": {"memory": "1Gi", "nvidia.com/gpu": 2}},
    }
    return trainjob(trainer, namespace="team"), runtime_manifest


def security_and_probes() -> Golden:
    pod = {
        "securityContext": {
            "runAsGroup": 2,
            "fsGroup": 3,
            "supplementalGroups": [4],
            "sysctls": [{"name": "net.core.somaxconn", "value": "1024"}],
            "runAsNonRoot": True,
        },
        "initContainers": [container("setup"), container("proxy", restartPolicy="Always")],
    }
    node = container(
        imagePullPolicy="Always",
        tty=True,
        stdin=True,
        ports=[{"name": "ssh", "containerPort": 2222}],
        securityContext={
            "runAsUser": 9,
            "privileged": True,
            "allowPrivilegeEscalation": True,
            "readOnlyRootFilesystem": True,
            "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]},
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "mine"},
            "seLinuxOptions": {"level": "s0"},
            "procMount": "Unmasked",
        },
        readinessProbe={
            "tcpSocket": {"port": "ssh"},
            "initialDelaySeconds": 5,
            "periodSeconds": 3,
            "timeoutSeconds": 2,
            "successThreshold": 2,
            "failureThreshold": 4,
        },
        startupProbe={"httpGet": {"path": "/up", "port": 80, "scheme": "HTTPS"}},
        lifecycle={"preStop": {"exec": {"command": ["bye"]}}},
    )
    side = container(
        "side",
        readinessProbe={"exec": {"command": ["true"]}},
        startupProbe={"grpc": {"port": 9000}},
        lifecycle={"preStop": {"sleep": {"seconds": 3}}},
    )
    return trainjob(), runtime(step("node", node, side, pod=pod), policy={"numNodes": 1})


def policies() -> Golden:
    rules = [
        {"action": "FailJob", "onExitCodes": {"containerName": "node", "operator": "In", "values": [42]}},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [0, 1]}},
    ]
    jobset = {
        "failurePolicy": {
            "maxRestarts": 2,
            "rules": [
                {
                    "name": "stop",
                    "action": "FailJobSet",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                    "onJobFailureMessagePatterns": ["exit code 42"],
                    "targetReplicatedJobs": ["node"],
                }
            ],
        },
        "successPolicy": {"operator": "Any", "targetReplicatedJobs": ["node"]},
        "startupPolicy": {"startupPolicyOrder": "InOrder"},
        "ttlSecondsAfterFinished": 60,
        "coordinator": {"replicatedJob": "node"},
        "network": {"subdomain": "sub"},
    }
    node = step(
        "node",
        container(),
        job={"backoffLimit": 0, "activeDeadlineSeconds": 60, "podFailurePolicy": {"rules": rules}},
        pod={"restartPolicy": "Never", "priorityClassName": "high", "priority": 7},
    )
    warm = step("warm", container("warm"), job={"parallelism": 2}, replicas=2, groupName="core")
    job = trainjob({"numNodes": 3}, annotations={f"{PREFIX}restart-scope": "gang"}, suspend=True)
    job["spec"]["activeDeadlineSeconds"] = 90
    return job, runtime(warm, node, jobset=jobset)


def pod_settings() -> Golden:
    pod = {
        "hostAliases": [{"ip": "10.1.1.1", "hostnames": ["db", "db.local"]}],
        "hostNetwork": True,
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
    runtime_manifest = runtime(
        step("node", container(), pod=pod, pod_metadata={"annotations": {"note": "$5"}}), policy={"jax": {}}
    )
    patches = [patch(containers=[{"name": "node", "env": [{"name": "A", "value": "1"}]}])]
    return trainjob({"numNodes": 2, "image": "example/mine:1"}, runtimePatches=patches), runtime_manifest


def initializers() -> Golden:
    fetch = container("model-initializer", env=[{"name": "STORAGE_URI", "value": "hf://old"}])
    dataset = container("dataset-initializer")
    runtime_manifest = runtime(
        step("dataset-initializer", dataset, role="dataset-initializer"),
        step("model-initializer", fetch, role="model-initializer"),
        step("node", dependsOn=[{"name": "model-initializer", "status": "Complete"}]),
        policy={"xgboost": {}},
    )
    sections = {
        "dataset": {"storageUri": "hf://data", "env": [{"name": "A", "value": "1"}]},
        "model": {"storageUri": "hf://new", "secretRef": {"name": "hf"}},
    }
    return trainjob({"numNodes": 2}, initializer=sections), runtime_manifest


def mpi() -> Golden:
    sshd = container(command=["/usr/sbin/sshd"], args=["-De"])
    runtime_manifest = runtime(
        step("node", sshd, role=""),
        step("launcher", container(), role="trainer", dependsOn=[{"name": "node", "status": "Ready"}]),
        policy={"mpi": {"runLauncherAsNode": True, "sshAuthMountPath": "/home/mpiuser/.ssh"}},
    )
    return trainjob({"numNodes": 3, "numProcPerNode": 4}), runtime_manifest


def flux() -> Golden:
    return trainjob({"numNodes": 2, "command": ["python", "-c"], "args": ["print(1, 2)"]}), runtime(
        policy={"flux": {"numProcPerNode": 2}}
    )


def torchtune() -> Golden:
    command = ["tune", "run", "full", "--config", "x", "output_dir=/out"]
    name = "torchtune-llama3.2-1b"
    node = container(command=command, resources={"limits": {"nvidia.com/gpu": 2}})
    job = trainjob({"command": ["tune", "run"], "args": ["epochs=1"]}, runtimeRef={"name": name})
    return job, runtime(step("node", node), name=name)


def plain() -> Golden:
    return trainjob({"image": "example/mine:1"}), runtime(policy={"numNodes": 1})


#: Hashes by version 7c7e490. A change here makes every running container stale after an upgrade.
GOLDEN: Final = {
    torch_with_volumes: "ff5adc15a51c0181",
    security_and_probes: "f4fa2bab24d4bc7d",
    policies: "4d89401996d8d25c",
    pod_settings: "fe3e05694cf0ff73",
    initializers: "651e888681969625",
    mpi: "fec005b6ffc3b4ef",
    flux: "482666f17307272a",
    torchtune: "23494466ed612233",
    plain: "896a9c43a681e001",
}


@pytest.mark.parametrize("manifests", GOLDEN, ids=lambda manifests: manifests.__name__)
def test_hash_is_the_one_of_earlier_versions(manifests: Callable[[], Golden]) -> None:
    assert spec_hash(full_plan_of(*manifests())) == GOLDEN[manifests]


def test_golden_plans_set_every_field_that_counts() -> None:
    used = {field for manifests in GOLDEN for field in fields_set(full_plan_of(*manifests()))}

    types = [t for t in vars(job_plan).values() if dataclasses.is_dataclass(t)]
    fields = {(t.__name__, field.name) for t in types for field in dataclasses.fields(t)}
    assert fields - used == {
        ("JobPlan", "labels"),  # these do not count
        ("JobPlan", "cluster_differences"),
        ("JobPlan", "port"),  # always the same
        ("ProbePlan", "http_headers"),  # do not count either
    }


def fields_set(value: Any) -> Iterator[tuple[str, str]]:
    """Type and name of every field of a plan that is not at its default."""
    if isinstance(value, tuple):
        for item in value:
            yield from fields_set(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            default = field.default_factory() if callable(field.default_factory) else field.default
            if inner != default:
                yield type(value).__name__, field.name
            yield from fields_set(inner)


def test_maps_in_another_order_give_the_same_hash() -> None:
    forwards = trainjob({"resourcesPerNode": {"limits": {"cpu": "1", "memory": "1Gi"}}})
    backwards = trainjob({"resourcesPerNode": {"limits": {"memory": "1Gi", "cpu": "1"}}})

    assert spec_hash(plan_of(forwards)) == spec_hash(plan_of(backwards))


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
def test_what_may_change_while_the_job_runs_does_not_count(change: dict[str, Any]) -> None:
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
def test_what_a_container_runs_with_counts(trainer: dict[str, Any]) -> None:
    assert spec_hash(plan_of(trainjob(trainer))) != spec_hash(plan_of(trainjob()))


def test_a_label_called_raw_counts() -> None:
    labelled = runtime(step("node", container(), pod_metadata={"labels": {"raw": "x"}}))

    assert spec_hash(plan_of(trainjob(), labelled)) != spec_hash(plan_of(trainjob()))


def test_progress_reporting_does_not_count() -> None:
    assert spec_hash(full_plan_of(trainjob())) == spec_hash(plan_of(trainjob()))
