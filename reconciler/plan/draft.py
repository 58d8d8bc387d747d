"""The working copy between manifests and plan: replicated jobs as decoded data that plugins add to.

A :class:`JobDraft` holds the runtime's template with the patches already in it. Frameworks and the job's own
trainer and initializer sections write into its pods in Kubernetes' words (camelCase), as upstream's plugins
do; then :mod:`reconciler.plan.pod.pod_template` turns the result into plan types. The draft is the only
mutable object of the package and never leaves :func:`reconciler.plan.builder.build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler import names
from reconciler.api.quantities import count_gpus
from reconciler.api.step_names import NODE, TRAINER
from reconciler.plan.expansion import address_reference

Raw = dict[str, Any]

#: Field with the index of a pod (batch/v1, Indexed), to which upstream's plugins refer for ranks.
INDEX_FIELD: Final = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(kw_only=True)
class StepDraft:
    """A replicated job.

    Attributes:
        position: among the runtime's replicated jobs, for field paths.
        pods: number of pods of one Job.
        replicas: number of Jobs; above one only where the step is none of upstream's three.
        ranked: its pods are training nodes and have a rank.
        counts_as_node: it counts for the world size without a rank (an MPI launcher that is a node).
    """

    name: str
    position: int
    role: str
    raw: Raw
    pods: int
    replicas: int = 1
    ranked: bool = False
    counts_as_node: bool = False

    @property
    def count(self) -> int:
        """Number of pods of the step."""
        return self.pods * self.replicas

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
        """Returns the container of that name, init containers excluded."""
        return next((c for c in self.containers if c["name"] == name), None)

    def all_containers(self) -> Iterator[Raw]:
        """Yields init containers, then containers."""
        yield from self.init_containers
        yield from self.containers

    def add_volume(self, volume: Raw) -> None:
        """Adds a volume, in place of one of the same name."""
        self.pod["volumes"] = _upsert(self.pod.get("volumes"), volume, lambda v: v["name"])


@dataclass(kw_only=True)
class JobDraft:
    """A job on its way from manifests to a plan.

    Attributes:
        runtime: name of the runtime.
        runtime_spec: the runtime's spec, unchanged.
        ml_policy: the runtime's ``mlPolicy``.
        trainer: the job's ``spec.trainer``, a copy that frameworks may change (command, args).
        initializer: the job's ``spec.initializer``.
        template: the runtime's ``spec.template`` with the job's patches in it.
        inferred_trainer: name of the step that is the trainer although no label says so; "" where one does.
        files: content of the files that frameworks write, by ``(ConfigMap name, key)``.
        warnings: ``(path, message)``.
    """

    namespace: str
    name: str
    uid: str
    runtime: str
    runtime_spec: Raw
    ml_policy: Raw
    trainer: Raw
    initializer: Raw
    template: Raw
    inferred_trainer: str = ""
    steps: list[StepDraft]
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def step(self, name: str) -> StepDraft | None:
        """Returns the step of that name."""
        return next((s for s in self.steps if s.name == name), None)

    @property
    def jobset_spec(self) -> Raw:
        """The spec of the template, which is a JobSet's."""
        spec: Raw = self.template.get("spec") or {}
        return spec

    @property
    def trainer_step(self) -> StepDraft | None:
        """The first step with the trainer's label, as upstream's plugins go by; else the inferred one."""
        return next((s for s in self.steps if s.role == TRAINER), None)

    @property
    def ranked_step(self) -> StepDraft | None:
        """The step whose pods have ranks."""
        return next((s for s in self.steps if s.ranked), None)

    @property
    def master(self) -> str:
        """Reference to the address of rank 0; "" where no step is ranked."""
        step = self.ranked_step
        return address_reference(step.name, 0) if step else ""

    @property
    def nodes(self) -> int:
        """Number of training nodes: the world size."""
        return sum(s.count for s in self.steps if s.ranked or s.counts_as_node)

    @property
    def subdomain(self) -> str:
        """Domain of the pods' names: the job's name unless ``network.subdomain`` is set."""
        network = self.jobset_spec.get("network") or {}
        return str(network.get("subdomain") or self.name)

    @property
    def trainer_env(self) -> list[Raw]:
        """The job's own environment for the training."""
        return self.trainer.get("env") or []

    @property
    def resources(self) -> Raw:
        """Resources from which upstream counts a node's processes.

        They are the job's own if it has any, else those of the runtime's ``node`` container: not the
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
        """GPUs of a node: of any resource with ``gpu`` in its name, requests before limits."""
        return count_gpus(self.resources.get("requests") or {}, self.resources.get("limits") or {})

    def object_name(self, suffix: str) -> str:
        """Returns the name of an object (ConfigMap, Secret, claim) that belongs to the job."""
        return f"{self.name}-{suffix}"


def set_env(container: Raw, *variables: Mapping[str, Any]) -> None:
    """Sets environment variables, each in place of one of the same name or else at the end."""
    for variable in variables:
        container["env"] = _upsert(container.get("env"), dict(variable), lambda v: v["name"])


def set_value(container: Raw, name: str, value: object) -> None:
    """Sets one environment variable to the text of ``value``."""
    set_env(container, {"name": name, "value": str(value)})


def set_index(container: Raw, name: str) -> None:
    """Sets an environment variable to the pod's index in its step."""
    set_env(container, {"name": name, "valueFrom": {"fieldRef": {"fieldPath": INDEX_FIELD}}})


def set_mount(container: Raw, mount: Raw) -> None:
    """Mounts a volume, in place of what is mounted at the path."""
    container["volumeMounts"] = _upsert(container.get("volumeMounts"), mount, lambda m: m["mountPath"])


def set_port(container: Raw) -> None:
    """Declares the rendezvous port, once."""
    declared = {"containerPort": names.MASTER_PORT}
    container["ports"] = _upsert(container.get("ports"), declared, lambda p: p.get("containerPort"))


def _upsert(items: list[Raw] | None, item: Raw, key: Callable[[Raw], Any]) -> list[Raw]:
    result = list(items or ())
    for position, present in enumerate(result):
        if key(present) == key(item):
            result[position] = item
            return result
    return [*result, item]
