"""Framework and gang-scheduling policies of a runtime."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from reconciler.api.framework_names import FRAMEWORKS, FrameworkName
from reconciler.api.models.base import Flag, Int32, Int64, ListMap, ListSet, Model, Rule, at_least_one


class FluxMLPolicySource(Model):
    """Flux: a resource manager inside the job."""

    num_proc_per_node: Annotated[Int32, at_least_one("NumProcPerNode in fluxPolicy must be >= 1")] = 1


class JAXMLPolicySource(Model):
    """JAX: distributed initialisation by environment."""


class MPIMLPolicySource(Model):
    """MPI: launcher, workers, hostfile and ssh keys."""

    mpi_implementation: Literal["OpenMPI", ""] = "OpenMPI"
    num_proc_per_node: Annotated[Int32, at_least_one("NumProcPerNode in mpiPolicy must be >= 1")] = 1
    run_launcher_as_node: Flag = False
    ssh_auth_mount_path: Annotated[str, Field(max_length=4096)] = "/root/.ssh"


class TorchEnvInjectionTarget(Model):
    """Containers of one replicated job that get the ``PET_*`` environment too."""

    container_names: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],
        Field(min_length=1, max_length=8),
        ListSet(),
        Rule(
            "!self.exists(c, c == 'node')",
            "containerNames must not include the main node container "
            "because PET_* envs are always injected into it",
            lambda names: "node" not in names,
        ),
    ]
    job_name: Annotated[str, Field(min_length=1, max_length=253)]


class TorchEnvInjection(Model):
    """Further containers that get the ``PET_*`` environment."""

    targets: Annotated[tuple[TorchEnvInjectionTarget, ...], Field(max_length=16), ListMap("job_name")] = ()


def _validate_processes(value: Any) -> int | str:
    if isinstance(value, str) and value in ("auto", "cpu", "gpu"):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31:
        return value
    message = "must be auto, cpu, gpu or a number of at least 1 without quotes"
    raise PydanticCustomError("rule", "{message}", {"message": message})


class TorchMLPolicySource(Model):
    """PyTorch: torchrun's ``PET_*`` environment."""

    env_injection: TorchEnvInjection | None = None
    #: As Trainers before 2.1 had it; :mod:`reconciler.api.models.older_fields` keeps it out of the CRDs.
    num_proc_per_node: (
        Annotated[int | str, BeforeValidator(_validate_processes), WithJsonSchema({"type": "string"})] | None
    ) = None


class XGBoostMLPolicySource(Model):
    """XGBoost: the Rabit tracker's ``DMLC_*`` environment."""


class MLPolicy(Model):
    """The framework and the number of nodes; at most one framework."""

    cel_rules = (
        Rule(
            "[has(self.torch), has(self.mpi), has(self.jax), has(self.xgboost),has(self.flux)]"
            ".filter(x, x).size() <= 1",
            "Only one of the policy can be configured",
            lambda policy: len(policy.frameworks) <= 1,
        ),
    )

    flux: FluxMLPolicySource | None = None
    jax: JAXMLPolicySource | None = None
    mpi: MPIMLPolicySource | None = None
    num_nodes: Int32 | None = None
    torch: TorchMLPolicySource | None = None
    xgboost: XGBoostMLPolicySource | None = None

    @property
    def frameworks(self) -> tuple[FrameworkName, ...]:
        """The frameworks that it sets: none (plain ML) or one in a valid policy."""
        return tuple(name for name in FRAMEWORKS if getattr(self, name) is not None)


class CoschedulingPodGroupPolicySource(Model):
    """Gang scheduling by the coscheduling plugin."""

    schedule_timeout_seconds: Int32 = 60


class NetworkTopologySpec(Model):
    """Volcano's network topology; no effect on one host."""

    highest_tier_allowed: Int64 = 1
    mode: Literal["hard", "soft"] = "hard"


class VolcanoPodGroupPolicySource(Model):
    """Gang scheduling by Volcano."""

    network_topology: NetworkTopologySpec | None = None


class PodGroupPolicy(Model):
    """Gang scheduling; implied on one host."""

    coscheduling: CoschedulingPodGroupPolicySource | None = None
    volcano: VolcanoPodGroupPolicySource | None = None
