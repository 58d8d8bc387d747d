"""The types of a plan: what a TrainJob and its runtime become; serializable and free of any engine's types.

A :class:`JobPlan` has *steps* (upstream's replicated jobs), a step has *pods*, a pod has *containers*.
Everything is frozen, and nothing has been resolved against an engine: an address is the reference
``$(<step>-<index>.ip)``, the value of a Secret or ConfigMap a :class:`KeyRef`.
:mod:`reconciler.plan.resolver` turns both into what an engine is given.

Fields not at their defaults count for the hash in :mod:`reconciler.plan.plan_hash`: renames go in there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ContainerKind = Literal["main", "init", "sidecar"]
RestartPolicy = Literal["OnFailure", "Never", "Always"]


@dataclass(frozen=True, kw_only=True)
class KeyRef:
    """A key of a Secret or ConfigMap of the job's namespace."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class EnvVar:
    """An environment variable: ``value`` (``$(NAME)`` and references unexpanded) or ``ref``."""

    name: str
    value: str = ""
    ref: KeyRef | None = None


@dataclass(frozen=True, kw_only=True)
class EnvFrom:
    """Every key of a Secret or ConfigMap as a variable, its name prefixed."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class MountPlan:
    """A volumeMount: a volume of the pod in a container.

    Attributes:
        volume: name of a :class:`VolumePlan` of the pod.
        path: absolute path in the container.
        sub_path: folder or file inside the volume that is mounted; "" is the whole volume.
        expand: ``sub_path`` is a ``subPathExpr``, in which ``$(NAME)`` is the container's variable.
    """

    volume: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    expand: bool = False


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file of a ``files`` volume: ``content`` (references unexpanded) or ``ref``."""

    path: str
    content: str = ""
    ref: KeyRef | None = None
    mode: int | None = None


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """A volume of a pod.

    ``kind``:
        * ``scratch``: emptyDir; lives as long as the pod; ``name`` is unique per pod.
        * ``memory``: emptyDir with medium Memory; ``size`` is its limit in bytes.
        * ``host``: hostPath; ``source`` is the path, ``host_type`` its ``type``.
        * ``named``: persistentVolumeClaim, or one of a JobSet volumeClaimPolicy; ``source`` is the volume's
          name on the engine, shared by all pods that name it; ``retain`` keeps it when the job is deleted
          (only a claim of a volumeClaimPolicy may go with the job, as on a cluster).
        * ``files``: configMap, secret, projected, downwardAPI, and files of framework plugins (hostfile,
          keys). ``all_keys_of`` are Secrets or ConfigMaps of which every key is a file.
    """

    name: str
    kind: Literal["scratch", "memory", "host", "named", "files"]
    source: str = ""
    host_type: str = ""
    size: int | None = None
    retain: bool = True
    files: tuple[FileSource, ...] = ()
    all_keys_of: tuple[EnvFrom, ...] = ()
    default_mode: int = 0o644
    #: The volume as in the pod's specification, for ``plan -o json``.
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ResourcePlan:
    """Requests and limits of a container.

    Attributes:
        cpu_limit: CPUs, fractions included; None is no limit.
        cpu_request: CPUs, for CPU shares and the admission queue.
        memory_limit: bytes; ``memory_request`` likewise.
        devices: count by device class, ``{"nvidia.com/gpu": 2}``.
        raw: ``{"requests": {...}, "limits": {...}}`` as merged from runtime and job.
    """

    cpu_limit: float | None = None
    cpu_request: float | None = None
    memory_limit: int | None = None
    memory_request: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """A readiness or startup probe with exactly one action; times in seconds, all above 0 but the delay."""

    command: tuple[str, ...] = ()
    tcp_port: int | None = None
    http_port: int | None = None
    http_path: str = "/"
    http_scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[tuple[str, str], ...] = ()
    grpc_port: int | None = None
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, kw_only=True)
class SecurityPlan:
    """The pod's security context with the container's merged over it."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[int, ...] = ()
    fs_group: int | None = None
    privileged: bool = False
    allow_privilege_escalation: bool | None = None
    read_only_root: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    seccomp: str = ""
    apparmor: str = ""
    selinux: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    proc_mount: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerPlan:
    """One container of one pod.

    Attributes:
        name: its name on the engine.
        container: its name in the template.
        kind: ``init`` runs to completion before the next container starts; ``sidecar`` is an init container
            with restartPolicy Always; all others are ``main``.
        primary: it has the pod's name and, as a rule, owns the pod's network namespace.
        command: replaces the image's entrypoint; None keeps it. ``$(NAME)`` is unexpanded.
        args: replaces the image's command; None keeps it.
        env: in order; a later variable may refer to an earlier one.
    """

    name: str
    container: str
    kind: ContainerKind
    primary: bool
    image: str
    pull_policy: str = ""
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    working_dir: str = ""
    resources: ResourcePlan = field(default_factory=ResourcePlan)
    mounts: tuple[MountPlan, ...] = ()
    ports: tuple[int, ...] = ()
    security: SecurityPlan = field(default_factory=SecurityPlan)
    readiness: ProbePlan | None = None
    startup: ProbePlan | None = None
    pre_stop: tuple[str, ...] = ()
    pre_stop_sleep: float = 0
    tty: bool = False
    stdin: bool = False

    @property
    def has_probe(self) -> bool:
        """Whether a probe decides if it has started or is ready."""
        return self.readiness is not None or self.startup is not None


@dataclass(frozen=True, kw_only=True)
class HostEntry:
    """A line of ``/etc/hosts``; ``address`` may be the reference ``$(<step>-<index>.ip)``."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """A pod of a step: one network namespace and address, and its containers in start order.

    Attributes:
        index: of the pod within its step, from 0.
        rank: node rank; None where the step's pods are no training nodes.
        name: name of the primary container on the engine.
        hostname: at most 63 characters.
        aliases: further names on the job's network.
        host_network: the pod has the host's network and no address of its own.
        labels: of the pod template, merged; the pod's containers carry them. Likewise annotations.
    """

    step: str
    index: int
    rank: int | None
    name: str
    hostname: str
    aliases: tuple[str, ...] = ()
    containers: tuple[ContainerPlan, ...] = ()
    volumes: tuple[VolumePlan, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    host_aliases: tuple[HostEntry, ...] = ()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_policy: str = ""
    termination_grace: float = 30.0
    pull_secrets: tuple[str, ...] = ()

    @property
    def primary(self) -> ContainerPlan:
        """The container that carries the pod's name."""
        return next(c for c in self.containers if c.primary)

    @property
    def network_owner(self) -> ContainerPlan:
        """The container whose network namespace others join: the first native sidecar, else the primary."""
        return next((c for c in self.containers if c.kind == "sidecar"), self.primary)

    def total(self, amount: Callable[[ContainerPlan], float]) -> float:
        """Adds up as the kube-scheduler does: the containers together, or the largest init container."""
        together = sum(amount(c) for c in self.containers if c.kind != "init")
        return max([together, *(amount(c) for c in self.containers if c.kind == "init")])

    def joins_network(self, name: str) -> bool:
        """Whether the container runs in the owner's network namespace: all that start after the owner.

        Init containers before it run alone, at the pod's address; those after a native sidecar beside it.
        """
        order, owner = [c.name for c in self.containers], self.network_owner
        position, start = order.index(name), order.index(owner.name)
        if self.containers[position].kind != "init":
            return position != start
        return owner.kind == "sidecar" and position > start


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """``dependsOn``: the step starts when the step ``name`` is Ready or Complete."""

    name: str
    status: Literal["Ready", "Complete"]


@dataclass(frozen=True, kw_only=True)
class ExitRule:
    """A ``podFailurePolicy`` rule on exit codes.

    Attributes:
        action: Ignore, Count, FailJob or FailIndex.
        container: the container whose exit code counts; "" is any.
    """

    action: str
    operator: Literal["In", "NotIn"]
    codes: tuple[int, ...]
    container: str = ""


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """A replicated job of the runtime's JobSet; a "Job" in upstream's conditions and counts.

    Attributes:
        role: upstream's ancestor step (``trainer``, ``dataset-initializer``, ``model-initializer``) or "".
        after: ``dependsOn``.
        backoff_limit: failed containers that are tolerated before the step has failed.
        active_deadline: seconds from the step's start until it has failed.
    """

    name: str
    role: str = ""
    after: tuple[Dependency, ...] = ()
    pods: tuple[PodPlan, ...] = ()
    backoff_limit: int = 6
    restart_policy: RestartPolicy = "OnFailure"
    active_deadline: float | None = None
    exit_rules: tuple[ExitRule, ...] = ()

    @property
    def count(self) -> int:
        """Number of pods."""
        return len(self.pods)


@dataclass(frozen=True, kw_only=True)
class FailureRule:
    """A rule of JobSet's ``failurePolicy``: the action when a Job of ``targets`` (empty: any step) fails.

    Attributes:
        reasons: reasons of the failure it applies to (``BackoffLimitExceeded``, ...); empty is any.
        patterns: regular expressions, one of which must match the failure's message; empty is any.
    """

    name: str
    action: str
    reasons: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """The plan of a whole job: all that a container engine or a job engine needs to run it.

    Attributes:
        nodes: number of training nodes, the world size.
        network: name of the job's network.
        labels: of the JobSet template, patched; annotations likewise, with the TrainJob's of this project.
        framework: name of the framework plugin (:mod:`reconciler.plan.frameworks`).
        port: rendezvous port, the value of ``MASTER_PORT``.
        max_restarts: of the whole job (JobSet ``failurePolicy.maxRestarts``); None: no failurePolicy.
        success_operator: All or Any of ``success_targets`` (empty: every step).
        startup_in_order: each step starts when the one before is ready (JobSet ``startupPolicy``).
        active_deadline: seconds from creation, or from the last resume.
        ttl: seconds from the job's end until its containers and network are removed.
        hosts: ``/etc/hosts`` entries of every container of the job.
        priority_class: ``priorityClassName`` of the training pods; ``priority`` likewise.
        warnings: fields that have no effect or a smaller one on one host: ``(path, message)``.
        cluster_differences: what the manifests mean here and would not mean on a cluster, likewise.
    """

    namespace: str
    name: str
    nodes: int
    network: str
    steps: tuple[StepPlan, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    framework: str = "plain"
    port: int = 29500
    suspend: bool = False
    max_restarts: int | None = None
    failure_rules: tuple[FailureRule, ...] = ()
    success_operator: Literal["All", "Any"] = "All"
    success_targets: tuple[str, ...] = ()
    startup_in_order: bool = False
    active_deadline: float | None = None
    ttl: float | None = None
    hosts: tuple[HostEntry, ...] = ()
    priority_class: str = ""
    priority: int | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    cluster_differences: tuple[tuple[str, str], ...] = ()

    def step(self, name: str) -> StepPlan:
        """Returns the step of that name.

        Raises:
            KeyError: the job has no such step.
        """
        return {step.name: step for step in self.steps}[name]

    @property
    def pods(self) -> tuple[PodPlan, ...]:
        """All pods; training nodes first, by rank: the order in which addresses are assigned."""
        pods = [pod for step in self.steps for pod in step.pods]
        return tuple(sorted(pods, key=lambda pod: (pod.rank is None, pod.rank or 0)))
