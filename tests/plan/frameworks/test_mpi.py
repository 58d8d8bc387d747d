"""MPI: launcher, workers, hostfile, keys."""

from __future__ import annotations

from typing import Any

from reconciler.plan.frameworks.required_secrets import required_secrets
from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    rendered_job,
    runtime,
    step,
    trainjob,
)

SSHD = container(command=["/usr/sbin/sshd"], args=["-De"])
MPI = {"numNodes": 1, "mpi": {"runLauncherAsNode": True, "sshAuthMountPath": "/home/mpiuser/.ssh"}}


def mpi(policy: dict[str, Any] | None = None, workers: dict[str, Any] | None = None) -> dict[str, Any]:
    return runtime(
        step("node", workers or SSHD, role=""),
        step("launcher", container(), role="trainer", dependsOn=[{"name": "node", "status": "Ready"}]),
        policy=policy or MPI,
    )


def test_workers_are_the_ranks_and_the_launcher_depends_on_them() -> None:
    plan = plan_of(trainjob({"numNodes": 3}), mpi())

    assert plan.nodes == 3
    assert [(pod.name, pod.rank) for pod in plan.pods] == [
        ("demo-node-0", 0),
        ("demo-node-1", 1),
        ("demo-launcher", None),
    ]
    assert [(d.name, d.status) for d in plan.step("launcher").after] == [("node", "Ready")]


def test_the_launcher_has_the_address_of_rank_0_and_no_rank() -> None:
    got = env(only(plan_of(trainjob({"numNodes": 3}), mpi()), "launcher"))

    assert got["MASTER_ADDR"] == "$(node-0.ip)"
    assert got["WORLD_SIZE"] == "3"
    assert "RANK" not in got


def test_the_trainers_label_may_be_on_the_workers() -> None:
    runtime_manifest = runtime(step("launcher", container()), step("node", SSHD), policy={"mpi": {}})

    plan = plan_of(trainjob({"numNodes": 2, "args": ["-D"]}), runtime_manifest)

    assert (plan.nodes, plan.step("node").count, plan.step("launcher").count) == (2, 2, 1)
    assert (only(plan).args, only(plan, "launcher").args) == (("-D",), None)
    assert env(only(plan, "launcher"))["MASTER_ADDR"] == "$(node-0.ip)"
    assert (
        rendered_job(plan)["files"]["launcher:/etc/mpi/hostfile"]
        == "$(node-0.ip) slots=1\n$(node-1.ip) slots=1\n"
    )


def test_the_hostfile_lists_every_node_with_its_slots() -> None:
    trainer = {"numNodes": 3, "numProcPerNode": 4}

    files = rendered_job(plan_of(trainjob(trainer), mpi()))["files"]

    assert files["launcher:/etc/mpi/hostfile"] == (
        "$(node-0.ip) slots=4\n$(node-1.ip) slots=4\n$(launcher-0.ip) slots=4\n"
    )


def test_a_launcher_that_is_no_node_has_no_slots() -> None:
    plan = plan_of(trainjob({"numNodes": 2}), mpi({"mpi": {"runLauncherAsNode": False}}))

    assert plan.nodes == 2
    assert plan.step("node").count == 2
    files = rendered_job(plan)["files"]
    assert files["launcher:/etc/mpi/hostfile"] == "$(node-0.ip) slots=1\n$(node-1.ip) slots=1\n"
    assert files["launcher:/root/.ssh/id_rsa"] == "****"


def test_trainer_settings_reach_the_workers_only_if_the_launcher_is_a_node() -> None:
    trainer = {
        "image": "mine",
        "env": [{"name": "A", "value": "1"}],
        "resourcesPerNode": {"limits": {"cpu": "2"}},
    }

    together = only(plan_of(trainjob(trainer), mpi()))
    apart = only(plan_of(trainjob(trainer), mpi({"mpi": {}})))

    assert (together.image, env(together).get("A"), together.resources.cpu_limit) == (
        "example/train:1",
        "1",
        2,
    )
    assert (apart.image, env(apart).get("A"), apart.resources.cpu_limit) == (
        "example/train:1",
        None,
        None,
    )


def test_one_slot_in_the_runtime_means_one_per_gpu() -> None:
    trainer = {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}

    three = plan_of(trainjob(trainer), mpi({"mpi": {"numProcPerNode": 3}}))
    one = plan_of(trainjob(trainer), mpi({"mpi": {"numProcPerNode": 1}}))

    assert env(only(three, "launcher"))["OMPI_MCA_orte_set_default_slots"] == "3"
    assert env(only(one, "launcher"))["OMPI_MCA_orte_set_default_slots"] == "8"


def test_num_nodes_of_the_runtime_counts_workers_and_launcher() -> None:
    plan = plan_of(trainjob(), mpi({"numNodes": 4, "mpi": {"runLauncherAsNode": True}}))

    assert (plan.step("node").count, plan.step("launcher").count, plan.nodes) == (3, 1, 4)


def test_keys_have_the_file_modes_of_ssh() -> None:
    (keys,) = [v for v in plan_of(trainjob(), mpi()).step("node").pods[0].volumes if v.name == "mpi-ssh-auth"]

    assert [(f.path, f.mode) for f in keys.files] == [
        ("id_rsa", 0o640),
        ("id_rsa.pub", 0o644),
        ("authorized_keys", 0o644),
    ]
    assert {f.ref.name for f in keys.files if f.ref} == {"demo-mpi-ssh-auth"}


def test_the_key_pair_is_a_required_secret() -> None:
    (secret,) = required_secrets(plan_of(trainjob({"numNodes": 4}), mpi()))

    assert (secret.namespace, secret.name, secret.kind) == ("default", "demo-mpi-ssh-auth", "ssh-keypair")
    assert required_secrets(plan_of(trainjob())) == ()
