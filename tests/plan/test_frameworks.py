"""What each framework adds, held without the conformance data as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.plan import generated_secrets, render_job
from reconciler.plan.job_plan import JobPlan
from tests.plan.manifests import container, documents, env, only, patch, plan_of, runtime, step, trainjob

BUILT_IN = sorted((Path(__file__).parents[2] / "specs" / "runtimes").glob("*.yaml"))
PET = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}

SSHD = container(command=["/usr/sbin/sshd"], args=["-De"])
MPI = {"numNodes": 1, "mpi": {"runLauncherAsNode": True, "sshAuthMountPath": "/home/mpiuser/.ssh"}}


def mpi(policy: dict[str, Any] | None = None, workers: dict[str, Any] | None = None) -> dict[str, Any]:
    return runtime(
        step("node", workers or SSHD, role=""),
        step("launcher", container(), role="trainer", dependsOn=[{"name": "node", "status": "Ready"}]),
        policy=policy or MPI,
    )


def shown_env(plan: JobPlan, name: str) -> dict[str, str]:
    """Environment of the container of that engine name, as it is printed."""
    return next(c["env"] for c in render_job(plan)["containers"] if c["name"] == name)


def shown(plan: JobPlan, name: str) -> dict[str, Any]:
    return next(c for c in render_job(plan)["containers"] if c["name"] == name)


class TestTorch:
    def test_every_node_knows_its_rank_and_the_masters_address(self) -> None:
        plan = plan_of(trainjob({"numNodes": 2}))

        got = shown_env(plan, "demo-node-1")
        assert {name: got[name] for name in PET} == {
            "PET_NNODES": "2",
            "PET_NPROC_PER_NODE": "1",
            "PET_NODE_RANK": "1",
            "PET_MASTER_ADDR": "$(node-0.ip)",
            "PET_MASTER_PORT": "29500",
        }
        assert plan.framework == "torch"
        assert only(plan).ports == (29500,)

    @pytest.mark.parametrize(
        ("trainer", "processes"),
        [
            ({"numProcPerNode": 3, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 2}}}, "3"),
            ({"resourcesPerNode": {"limits": {"nvidia.com/gpu": 2, "cpu": "8"}}}, "auto"),
            ({"resourcesPerNode": {"limits": {"nvidia.com/gpu": 0, "cpu": "8"}}}, "8"),
            ({"resourcesPerNode": {"requests": {"cpu": "2"}, "limits": {"cpu": "6"}}}, "2"),
            ({"resourcesPerNode": {"requests": {"cpu": "2500m"}}}, "3"),
            ({"resourcesPerNode": {"requests": {"cpu": "0"}, "limits": {"cpu": "4"}}}, "4"),
            ({"resourcesPerNode": {"requests": {"cpu": 0}}}, "1"),
            ({"resourcesPerNode": {"limits": {"cpu": 1.0}}}, "1"),
            ({"resourcesPerNode": {"limits": {"memory": "1Gi"}}}, "1"),
            ({"resourcesPerNode": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}, "1"),
            ({}, "1"),
        ],
    )
    def test_processes_follow_the_resources(self, trainer: dict[str, Any], processes: str) -> None:
        assert env(only(plan_of(trainjob(trainer))))["PET_NPROC_PER_NODE"] == processes

    def test_the_jobs_resources_alone_decide_about_processes(self) -> None:
        # Upstream counts on the job's raw resources, not the merged ones.
        blueprint = runtime(step("node", container(resources={"limits": {"nvidia.com/gpu": 2}})))

        plan = plan_of(trainjob({"resourcesPerNode": {"limits": {"cpu": "4"}}}), blueprint)

        assert env(only(plan))["PET_NPROC_PER_NODE"] == "4"
        assert only(plan).resources.devices == {"nvidia.com/gpu": 2}

    def test_the_jobs_environment_comes_before_the_frameworks_so_that_it_may_be_referred_to(self) -> None:
        plan = plan_of(trainjob({"env": [{"name": "A", "value": "1"}]}))

        order = [v.name for v in only(plan).env]
        assert order.index("A") < order.index("PET_NNODES")

    def test_injection_reaches_named_containers_only(self) -> None:
        policy = {
            "torch": {"envInjection": {"targets": [{"jobName": "node", "containerNames": ["check", "side"]}]}}
        }
        pod = {"initContainers": [container("check"), container("plain")]}
        blueprint = runtime(step("node", container(), container("side"), pod=pod), policy=policy)

        plan = plan_of(trainjob({"numNodes": 2}), blueprint)

        assert shown_env(plan, "demo-node-1-check").keys() >= PET
        assert shown_env(plan, "demo-node-1-side")["PET_NODE_RANK"] == "1"
        assert not PET & shown_env(plan, "demo-node-1-plain").keys()

    def test_a_trainer_step_of_another_name_is_the_node_step(self) -> None:
        plan = plan_of(trainjob({"numNodes": 2}), runtime(step("worker", container(), role="trainer")))

        assert [(i.name, i.rank) for i in plan.pods] == [("demo-node-0", 0), ("demo-node-1", 1)]
        assert env(only(plan, "worker"))["PET_MASTER_ADDR"] == "$(worker-0.ip)"

    def test_no_nodes_are_allowed_and_warned_of(self) -> None:
        plan = plan_of(trainjob({"numNodes": 0}))

        assert (plan.nodes, plan.step("node").count) == (0, 0)
        assert plan.warnings == (("spec.trainer.numNodes", "there are no nodes: the job completes at once"),)


class TestTorchtune:
    def tune(self, trainer: dict[str, Any], gpus: int = 2, name: str = "torchtune-llama3.3-70b") -> JobPlan:
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
        self, trainer: dict[str, Any], gpus: int, recipe: str, config: str
    ) -> None:
        plan = self.tune(trainer, gpus)

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

    def test_the_rendezvous_is_in_the_command_not_in_the_environment(self) -> None:
        names = env(only(self.tune({}))).keys()

        assert {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK"} <= names
        assert not {"PET_MASTER_ADDR", "PET_MASTER_PORT"} & names

    def test_any_longer_command_is_torchruns_business(self) -> None:
        plan = plan_of(trainjob({"command": ["tune", "run", "mine"]}))

        assert plan.framework == "torch"
        assert only(plan).command == ("tune", "run", "mine")


class TestJaxAndXgboost:
    def test_jax_has_one_process_a_node(self) -> None:
        trainer = {"numNodes": 3, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 4}}}

        got = shown_env(plan_of(trainjob(trainer), runtime(policy={"jax": {}})), "demo-node-2")

        assert got["JAX_NUM_PROCESSES"] == "3"
        assert got["JAX_PROCESS_ID"] == "2"
        assert got["JAX_COORDINATOR_ADDRESS"] == "$(node-0.ip):29500"

    def test_jax_leaves_the_users_own_variables_alone(self) -> None:
        trainer = {"env": [{"name": "JAX_COORDINATOR_ADDRESS", "value": "elsewhere:1"}]}

        got = env(only(plan_of(trainjob(trainer), runtime(policy={"jax": {}}))))

        assert got["JAX_COORDINATOR_ADDRESS"] == "elsewhere:1"

    @pytest.mark.parametrize(
        ("limits", "workers"), [({}, "2"), ({"amd.com/gpu": 4}, "8"), ({"cpu": "9"}, "2")]
    )
    def test_xgboost_has_a_worker_a_gpu(self, limits: dict[str, Any], workers: str) -> None:
        trainer = {"numNodes": 2, "resourcesPerNode": {"limits": limits}}

        got = shown_env(plan_of(trainjob(trainer), runtime(policy={"xgboost": {}})), "demo-node-1")

        assert got["DMLC_NUM_WORKER"] == workers
        assert got["DMLC_TASK_ID"] == "1"
        assert (got["DMLC_TRACKER_URI"], got["DMLC_TRACKER_PORT"]) == ("$(node-0.ip)", "29500")


class TestMpi:
    def test_workers_are_the_ranks_and_the_launcher_starts_when_they_are_ready(self) -> None:
        plan = plan_of(trainjob({"numNodes": 3}), mpi())

        assert plan.nodes == 3
        assert [(i.name, i.rank) for i in plan.pods] == [
            ("demo-node-0", 0),
            ("demo-node-1", 1),
            ("demo-launcher", None),
        ]
        assert [(d.name, d.status) for d in plan.step("launcher").after] == [("node", "Ready")]

    def test_the_launcher_knows_the_master_and_has_no_rank(self) -> None:
        got = env(only(plan_of(trainjob({"numNodes": 3}), mpi()), "launcher"))

        assert got["MASTER_ADDR"] == "$(node-0.ip)"
        assert got["WORLD_SIZE"] == "3"
        assert "RANK" not in got

    def test_the_trainers_label_may_be_on_the_workers(self) -> None:
        blueprint = runtime(step("launcher", container()), step("node", SSHD), policy={"mpi": {}})

        plan = plan_of(trainjob({"numNodes": 2, "args": ["-D"]}), blueprint)

        assert (plan.nodes, plan.step("node").count, plan.step("launcher").count) == (2, 2, 1)
        assert (only(plan).args, only(plan, "launcher").args) == (("-D",), None)
        assert env(only(plan, "launcher"))["MASTER_ADDR"] == "$(node-0.ip)"
        assert (
            render_job(plan)["files"]["launcher:/etc/mpi/hostfile"]
            == "$(node-0.ip) slots=1\n$(node-1.ip) slots=1\n"
        )

    def test_the_hostfile_lists_every_node_with_its_slots(self) -> None:
        trainer = {"numNodes": 3, "numProcPerNode": 4}

        files = render_job(plan_of(trainjob(trainer), mpi()))["files"]

        assert files["launcher:/etc/mpi/hostfile"] == (
            "$(node-0.ip) slots=4\n$(node-1.ip) slots=4\n$(launcher-0.ip) slots=4\n"
        )

    def test_a_launcher_that_is_no_node_gets_neither_slots_nor_the_workers_place(self) -> None:
        plan = plan_of(trainjob({"numNodes": 2}), mpi({"mpi": {"runLauncherAsNode": False}}))

        assert plan.nodes == 2
        assert plan.step("node").count == 2
        files = render_job(plan)["files"]
        assert files["launcher:/etc/mpi/hostfile"] == "$(node-0.ip) slots=1\n$(node-1.ip) slots=1\n"
        assert files["launcher:/root/.ssh/id_rsa"] == "****"

    def test_what_the_job_says_reaches_the_workers_only_where_the_launcher_is_one_of_them(self) -> None:
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

    def test_slots_of_the_runtime_stand_unless_they_are_one(self) -> None:
        trainer = {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}

        three = plan_of(trainjob(trainer), mpi({"mpi": {"numProcPerNode": 3}}))
        one = plan_of(trainjob(trainer), mpi({"mpi": {"numProcPerNode": 1}}))

        assert env(only(three, "launcher"))["OMPI_MCA_orte_set_default_slots"] == "3"
        assert env(only(one, "launcher"))["OMPI_MCA_orte_set_default_slots"] == "8"

    def test_nodes_of_the_runtime_count_workers_and_the_launcher(self) -> None:
        plan = plan_of(trainjob(), mpi({"numNodes": 4, "mpi": {"runLauncherAsNode": True}}))

        assert (plan.step("node").count, plan.step("launcher").count, plan.nodes) == (3, 1, 4)

    def test_keys_have_the_modes_ssh_wants(self) -> None:
        (keys,) = [
            v for v in plan_of(trainjob(), mpi()).step("node").pods[0].volumes if v.name == "mpi-ssh-auth"
        ]

        assert [(f.path, f.mode) for f in keys.files] == [
            ("id_rsa", 0o640),
            ("id_rsa.pub", 0o644),
            ("authorized_keys", 0o644),
        ]
        assert {f.ref.name for f in keys.files if f.ref} == {"demo-mpi-ssh-auth"}

    def test_the_key_pair_is_named_as_a_secret_to_be_made_once(self) -> None:
        (secret,) = generated_secrets(plan_of(trainjob({"numNodes": 4}), mpi()))

        assert (secret.namespace, secret.name, secret.kind) == ("default", "demo-mpi-ssh-auth", "ssh-keypair")
        assert generated_secrets(plan_of(trainjob())) == ()


class TestFlux:
    def flux(self, trainer: dict[str, Any], **node: Any) -> JobPlan:
        return plan_of(trainjob(trainer), runtime(step("node", container(**node)), policy={"flux": {}}))

    def test_the_command_is_handed_to_rank_0_with_its_quoting(self) -> None:
        plan = self.flux({"numNodes": 2, "command": ["python", "-c"], "args": ["print(1, 2)"]})

        got = shown(plan, "demo-node-0")
        assert got["command"] == ["/bin/bash", "/etc/flux-config/entrypoint.sh", "python -c 'print(1, 2)'"]
        assert got["args"] is None
        assert (
            "flux run -N 2 -n 2 $command" in render_job(plan)["files"]["node:/etc/flux-config/entrypoint.sh"]
        )

    def test_brokers_find_each_other_by_planned_addresses(self) -> None:
        broker = render_job(self.flux({"numNodes": 2}))["files"]["node:/etc/flux-config/broker.toml"]

        assert (
            '{ host = "demo-node-1", bind = "tcp://$(node-1.ip):8050", connect = "tcp://$(node-1.ip):8050" }'
            in broker
        )

    def test_flux_is_installed_unless_the_image_has_it(self) -> None:
        with_view = self.flux({})
        without = self.flux({"env": [{"name": "FLUX_VIEW_IMAGE", "value": ""}]})

        assert [c.kind for c in with_view.step("node").pods[0].containers] == ["init", "main"]
        assert [c.kind for c in without.step("node").pods[0].containers] == ["main"]

    def test_the_certificate_is_named_as_a_secret_to_be_made(self) -> None:
        (secret,) = generated_secrets(self.flux({}))

        assert (secret.name, secret.kind) == ("demo-flux-curve", "curve-certificate")


class TestPlain:
    def test_nothing_but_the_rendezvous_is_added(self) -> None:
        plan = plan_of(trainjob({"numNodes": 2}), runtime(policy={"numNodes": 1}))

        assert plan.framework == "plain"
        assert shown_env(plan, "demo-node-1") == {
            "MASTER_ADDR": "$(node-0.ip)",
            "MASTER_PORT": "29500",
            "RANK": "1",
            "WORLD_SIZE": "2",
            "JOB_COMPLETION_INDEX": "1",
        }

    def test_a_runtime_without_a_policy_takes_its_parallelism(self) -> None:
        blueprint = runtime(step("node", container(), job={"parallelism": 3}))
        del blueprint["spec"]["mlPolicy"]

        assert plan_of(trainjob(), blueprint).nodes == 3
        assert plan_of(trainjob({"numNodes": 2}), blueprint).nodes == 2

    def test_a_step_called_node_without_the_label_is_ranked_and_keeps_to_the_runtime(self) -> None:
        blueprint = runtime(step("node", container(), role=""))

        plan = plan_of(trainjob({"image": "mine"}), blueprint)

        assert plan.pods[0].rank == 0
        assert only(plan).image == "example/train:1"


class TestRendezvous:
    def test_every_container_of_a_node_has_it(self) -> None:
        blueprint = runtime(
            step("node", container(), container("side"), pod={"initContainers": [container("prep")]})
        )

        plan = plan_of(trainjob({"numNodes": 2}), blueprint)

        for name in ("demo-node-1", "demo-node-1-side", "demo-node-1-prep"):
            got = shown_env(plan, name)
            assert (got["MASTER_ADDR"], got["MASTER_PORT"]) == ("$(node-0.ip)", "29500")
            assert (got["RANK"], got["WORLD_SIZE"]) == ("1", "2")

    def test_the_users_own_value_wins(self) -> None:
        blueprint = runtime(step("node", container(env=[{"name": "MASTER_PORT", "value": "1"}])))

        got = env(only(plan_of(trainjob({"env": [{"name": "RANK", "value": "7"}]}), blueprint)))

        assert (got["MASTER_PORT"], got["RANK"]) == ("1", "7")

    def test_it_may_be_referred_to_by_everything_else(self) -> None:
        trainer = {"args": ["--init=tcp://$(MASTER_ADDR):$(MASTER_PORT)"]}

        assert shown(plan_of(trainjob(trainer)), "demo-node-0")["args"] == ["--init=tcp://$(node-0.ip):29500"]

    def test_steps_that_do_not_train_are_without(self) -> None:
        plan = plan_of(trainjob(), runtime(step("warm", container("warm")), step("node")))

        assert "MASTER_ADDR" not in shown_env(plan, "demo-warm")


@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: path.stem)
def test_every_built_in_runtime_plans(path: Path) -> None:
    (blueprint,) = documents(path)
    job = trainjob({"numNodes": 2}, runtimeRef={"name": blueprint["metadata"]["name"]})

    plan = plan_of(job, blueprint)

    assert plan.nodes == 2
    assert all(c.image for i in plan.pods for c in i.containers)
    assert not plan.warnings


def test_the_built_in_torch_runtime_restarts_all_ranks_together() -> None:
    (path,) = [p for p in BUILT_IN if p.stem == "torch_distributed"]
    (blueprint,) = documents(path)

    plan = plan_of(trainjob(), blueprint)

    assert plan.max_restarts == 3
    assert (plan.step("node").restart_policy, plan.step("node").backoff_limit) == ("OnFailure", 0)


def test_deepspeed_waits_for_sshd_of_user_1000() -> None:
    (path,) = [p for p in BUILT_IN if p.stem == "deepspeed_distributed"]
    (blueprint,) = documents(path)

    plan = plan_of(trainjob({"numNodes": 2}), blueprint)

    worker = only(plan)
    assert (worker.security.run_as_user, worker.security.fs_group) == (1000, 1000)
    assert worker.readiness is not None
    assert (worker.readiness.tcp_port, worker.readiness.initial_delay) == (2222, 5)
    assert plan.success_targets == ("launcher",)


def test_a_patch_of_the_node_comes_before_the_framework() -> None:
    plan = plan_of(
        trainjob(
            {"command": ["mine"]},
            runtimePatches=[patch(containers=[{"name": "node", "securityContext": {"runAsUser": 5}}])],
        )
    )

    assert only(plan).command == ("mine",)
    assert only(plan).security.run_as_user == 5
