"""The working copy between manifests and plan: replicated jobs as decoded data that frameworks add to.

A :class:`JobDraft` holds the runtime's template with the patches already in it. Frameworks and the
job's own trainer and initializer sections write into its pods in Kubernetes' words (camelCase), as
upstream's plugins do; afterwards :mod:`reconciler.plan.pod.pods` turns the result into plan types. It is
the only mutable thing of the package and never leaves :func:`reconciler.plan.builder.build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler import names
from reconciler.plan.expansion import reference
from reconciler.plan.pod.pod_resources import gpus

Raw = dict[str, Any]

TRAINER: Final = "trainer"
DATASET_INITIALIZER: Final = "dataset-initializer"
MODEL_INITIALIZER: Final = "model-initializer"
#: Name of the container (and, as a rule, of the step) that trains.
NODE: Final = "node"
LAUNCHER: Final = "launcher"

#: Where the index of a pod stands (batch/v1, Indexed): ranks of upstream's plugins refer to it.
INDEX_FIELD: Final = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(kw_only=True)
class StepDraft:
    """One replicated job.

    Attributes:
        place: in the runtime's list, for paths in messages.
        pods: pods of one Job of it.
        replicas: Jobs of it; more than one only where the step is none of upstream's three.
        ranked: its pods are training nodes.
        leads: it starts the training but is no rank itself (the MPI launcher).
    """

    name: str
    place: int
    role: str
    raw: Raw
    pods: int
    replicas: int = 1
    ranked: bool = False
    leads: bool = False

    @property
    def count(self) -> int:
        """How many pods the step has."""
        return self.pods * self.replicas

    @property
    def path(self) -> str:
        """Field path of the replicated job in the runtime."""
        return f"spec.template.spec.replicatedJobs[{self.place}]"

    @property
    def job_spec(self) -> Raw:
        """The Job's spec."""
        spec: Raw = self.raw["template"]["spec"]
        return spec

    @property
    def pod_template(self) -> Raw:
        """The pod template."""
        template: Raw = self.job_spec["template"]
        return template

    @property
    def pod(self) -> Raw:
        """The pod's spec."""
        spec: Raw = self.pod_template["spec"]
        return spec

    @property
    def containers(self) -> list[Raw]:
        """The pod's containers."""
        containers: list[Raw] = self.pod.setdefault("containers", [])
        return containers

    @property
    def init_containers(self) -> list[Raw]:
        """The pod's init containers."""
        containers: list[Raw] = self.pod.get("initContainers") or []
        return containers

    def container(self, name: str) -> Raw | None:
        """The container of that name; init containers are none."""
        return next((c for c in self.containers if c["name"] == name), None)

    def every_container(self) -> Iterator[Raw]:
        """Init containers, then containers."""
        yield from self.init_containers
        yield from self.containers

    def add_volume(self, volume: Raw) -> None:
        """Add a volume, in place of one of the same name."""
        self.pod["volumes"] = _upserted(self.pod.get("volumes"), volume, lambda v: v["name"])


@dataclass(kw_only=True)
class JobDraft:
    """A job on its way from manifests to a plan.

    Attributes:
        runtime: name of the runtime.
        blueprint: the runtime's spec as it is.
        policy: the runtime's ``mlPolicy``.
        trainer: the job's ``spec.trainer``, a copy that frameworks may change (command, args).
        initializer: the job's ``spec.initializer``.
        template: the runtime's ``spec.template`` with the job's patches in it.
        files: content of the files that frameworks write, by ``(ConfigMap name, key)``.
        warnings: ``(path, message)``.
    """

    namespace: str
    name: str
    uid: str
    runtime: str
    blueprint: Raw
    policy: Raw
    trainer: Raw
    initializer: Raw
    template: Raw
    steps: list[StepDraft]
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def step(self, name: str) -> StepDraft | None:
        """The step of that name."""
        return next((s for s in self.steps if s.name == name), None)

    @property
    def trainer_step(self) -> StepDraft | None:
        """The first step with the trainer's label; upstream's plugins look at no other."""
        return next((s for s in self.steps if s.role == TRAINER), None)

    @property
    def ranked_step(self) -> StepDraft | None:
        """The step whose pods are ranks."""
        return next((s for s in self.steps if s.ranked), None)

    @property
    def master(self) -> str:
        """Reference to the address of rank 0; "" where nothing is ranked."""
        step = self.ranked_step
        return reference(step.name, 0) if step else ""

    @property
    def nodes(self) -> int:
        """Training nodes: the world size."""
        return sum(s.count for s in self.steps if s.ranked or s.leads)

    @property
    def subdomain(self) -> str:
        """The domain of the pods' names: the job's name unless ``network.subdomain`` says otherwise."""
        network = (self.template.get("spec") or {}).get("network") or {}
        return str(network.get("subdomain") or self.name)

    @property
    def trainer_env(self) -> list[Raw]:
        """The job's own environment for the training."""
        return self.trainer.get("env") or []

    @property
    def resources(self) -> Raw:
        """Resources by which upstream counts a node's processes.

        They are the job's own when it has any, else those of the runtime's ``node`` container: not the
        merged ones, so that the same manifest gives the same counts here and on a cluster.
        """
        own = self.trainer.get("resourcesPerNode")
        if own is not None:
            return dict(own)
        for step in self.steps:
            container = step.container(NODE) if step.name == NODE or step.role == TRAINER else None
            if container is not None and container.get("resources"):
                return dict(container["resources"])
        return {}

    @property
    def gpus(self) -> int:
        """GPUs of a node."""
        return gpus(self.resources)

    def own_name(self, suffix: str) -> str:
        """Name of an object that a framework makes for the job."""
        return f"{self.name}-{suffix}"

    def qualified(self, suffix: str) -> str:
        """Name of a thing of the job on the engine."""
        return f"{names.qualified(self.namespace, self.name)}-{suffix}"


def set_env(container: Raw, *variables: Mapping[str, Any]) -> None:
    """Set environment variables: in place where the name is there already, else at the end."""
    for variable in variables:
        container["env"] = _upserted(container.get("env"), dict(variable), lambda v: v["name"])


def set_value(container: Raw, name: str, value: object) -> None:
    """Set one environment variable to the text of ``value``."""
    set_env(container, {"name": name, "value": str(value)})


def set_index(container: Raw, name: str) -> None:
    """Set an environment variable to the pod's index in its step."""
    set_env(container, {"name": name, "valueFrom": {"fieldRef": {"fieldPath": INDEX_FIELD}}})


def set_mount(container: Raw, mount: Raw) -> None:
    """Mount a volume, in place of what was mounted at the path."""
    container["volumeMounts"] = _upserted(container.get("volumeMounts"), mount, lambda m: m["mountPath"])


def set_port(container: Raw, port: int) -> None:
    """Declare a port, once."""
    container["ports"] = _upserted(
        container.get("ports"), {"containerPort": port}, lambda p: p.get("containerPort")
    )


def _upserted(items: list[Raw] | None, item: Raw, key: Callable[[Raw], Any]) -> list[Raw]:
    result = list(items or ())
    for place, present in enumerate(result):
        if key(present) == key(item):
            result[place] = item
            return result
    return [*result, item]
