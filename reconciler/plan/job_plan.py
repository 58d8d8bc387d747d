"""What a TrainJob and its runtime become: complete, serializable, free of any engine's types.

A :class:`JobPlan` has *steps* (upstream's replicated jobs) of *pods* (pods), of *containers*.
Everything is frozen; nothing here has been resolved against an engine: addresses stand as
``$(node-0.ip)`` (``$(<step>-<index>.ip)``), Secret and ConfigMap values as references.
:mod:`reconciler.plan.resolver` turns both into what an engine is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ContainerKind = Literal["main", "init", "sidecar"]
DependsOnStatus = Literal["Ready", "Complete"]
RestartPolicy = Literal["OnFailure", "Never", "Always"]


@dataclass(frozen=True, kw_only=True)
class KeyRef:
    """A key of a Secret or ConfigMap document of the same namespace."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class EnvVar:
    """One environment variable: ``value`` (``$(NAME)`` and address references unexpanded) or ``ref``."""

    name: str
    value: str = ""
    ref: KeyRef | None = None


@dataclass(frozen=True, kw_only=True)
class EnvFrom:
    """All keys of a Secret or ConfigMap as variables, each name prefixed."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class MountPlan:
    """A volume of the pod in a container.

    Attributes:
        volume: name of a :class:`VolumePlan` of the pod.
        path: absolute path in the container.
        sub_path: folder or file inside the volume.
        expand: ``sub_path`` is a ``subPathExpr``: ``$(NAME)`` in it stands for the container's variable.
    """

    volume: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    expand: bool = False


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """One file of a ``files`` volume: literal ``content`` (address references unexpanded) or a reference."""

    path: str
    content: str = ""
    ref: KeyRef | None = None
    mode: int | None = None


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """A volume of a pod.

    ``kind``:
        * ``scratch``: emptyDir; lives as long as the pod; ``name`` is unique per pod.
        * ``memory``: emptyDir with medium Memory; ``size`` in bytes limits it.
        * ``host``: hostPath; ``source`` is the path, ``host_type`` upstream's ``type``.
        * ``named``: persistentVolumeClaim, or a JobSet volumeClaimPolicy; ``source`` is the volume's
          name on the engine, shared by all that name it; ``retain`` keeps it when the job is deleted
          (a claim of its own always stays, as on a cluster).
        * ``files``: configMap, secret, projected, downwardAPI, and what plugins write (hostfile, keys).
          ``all_of`` are Secrets or ConfigMaps of which every key is a file.
    """

    name: str
    kind: Literal["scratch", "memory", "host", "named", "files"]
    source: str = ""
    host_type: str = ""
    size: int | None = None
    retain: bool = True
    files: tuple[FileSource, ...] = ()
    all_of: tuple[EnvFrom, ...] = ()
    default_mode: int = 0o644
    #: The pod's own text of it, for ``plan -o json``.
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ResourcePlan:
    """Requests and limits; the texts as merged, and what engines need of them.

    Attributes:
        cpu_limit: CPUs (1.5 is one and a half); None is no limit.
        cpu_request: CPUs, for shares and admission.
        memory_limit: bytes.
        memory_request: bytes.
        devices: device class to count, ``{"nvidia.com/gpu": 2}``.
        raw: ``{"requests": {...}, "limits": {...}}`` as in the manifest after merging.
    """

    cpu_limit: float | None = None
    cpu_request: float | None = None
    memory_limit: int | None = None
    memory_request: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """A readiness or startup probe; times in seconds. Exactly one of the actions is set."""

    command: tuple[str, ...] = ()
    tcp_port: int | None = None
    http_port: int | None = None
    http_path: str = "/"
    http_scheme: str = "HTTP"
    grpc_port: int | None = None
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3


@dataclass(frozen=True, kw_only=True)
class SecurityPlan:
    """Container and pod security context, merged (the container's wins)."""

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
        kind: ``init`` runs to completion first; ``sidecar`` is an init container with restartPolicy
            Always; everything else of the pod is ``main``.
        primary: the one that owns the pod's name and, as a rule, its network namespace.
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
    def probed(self) -> bool:
        """Whether it is only by a probe that it is known to be up, or ready."""
        return self.readiness is not None or self.startup is not None


@dataclass(frozen=True, kw_only=True)
class HostEntry:
    """A line of ``/etc/hosts``; ``address`` may be ``$(<step>-<index>.ip)``."""

    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """One pod of a step: one network namespace and address, its containers in the order they start.

    Attributes:
        index: in its step, from 0.
        rank: node rank; None for steps that are no training nodes.
        name: of the primary container on the engine.
        hostname: at most 63 characters.
        aliases: further names on the job's network.
        volumes: of the pod.
        host_network: shares the host's network: no address of its own.
        labels: of the pod template, merged; they go on its containers.
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


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """``dependsOn``: wait until the step ``name`` is Ready or Complete."""

    name: str
    status: DependsOnStatus


@dataclass(frozen=True, kw_only=True)
class ExitRule:
    """A ``podFailurePolicy`` rule on exit codes.

    Attributes:
        action: Ignore, Count, FailJob or FailIndex.
        container: the container it is about; empty is any.
    """

    action: str
    operator: Literal["In", "NotIn"]
    codes: tuple[int, ...]
    container: str = ""


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """One replicated job of the runtime's JobSet; "a job" in upstream's conditions and counts.

    Attributes:
        role: upstream's ancestor step (``trainer``, ``dataset-initializer``, ``model-initializer``) or "".
        completions: successes that make the step complete (batch/v1); the pod count unless set.
        backoff_limit: failures tolerated in the step before it has failed (batch/v1: 6 unless set).
        active_deadline: seconds from the step's start after which it has failed.
    """

    name: str
    role: str = ""
    after: tuple[Dependency, ...] = ()
    pods: tuple[PodPlan, ...] = ()
    completions: int | None = None
    backoff_limit: int = 6
    restart_policy: RestartPolicy = "OnFailure"
    active_deadline: float | None = None
    exit_rules: tuple[ExitRule, ...] = ()

    @property
    def count(self) -> int:
        """How many pods the step has."""
        return len(self.pods)


@dataclass(frozen=True, kw_only=True)
class FailureRule:
    """A JobSet ``failurePolicy`` rule: what a failed job of ``targets`` (empty: any) leads to.

    Attributes:
        reasons: of the job's failure (``BackoffLimitExceeded``, ...); empty is any.
        patterns: regular expressions, one of which the failure's message has to match; empty is any.
    """

    name: str
    action: str
    reasons: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """Everything a strategy (containers here; a cluster or Slurm elsewhere) needs to run a job.

    Attributes:
        nodes: training nodes, the world size.
        network: name of the job's network.
        labels: of the job as a whole (the JobSet template's metadata, patched); likewise annotations.
        success_operator: All or Any of ``success_targets`` (empty: every step).
        startup_in_order: start each step when the one before is ready (JobSet ``startupPolicy``).
        active_deadline: seconds from creation, or from the last resume.
        ttl: seconds after the end until containers and network go.
        framework: torch, torchtune, jax, xgboost, mpi, flux or "plain".
        port: rendezvous port, the same as ``MASTER_PORT``.
        hosts: ``/etc/hosts`` entries that every container of the job gets.
        warnings: fields accepted and without meaning on one host: ``(path, message)``.
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
    #: Whole-job restarts allowed (JobSet ``failurePolicy.maxRestarts``); None: no failurePolicy at all.
    max_restarts: int | None = None
    failure_rules: tuple[FailureRule, ...] = ()
    success_operator: Literal["All", "Any"] = "All"
    success_targets: tuple[str, ...] = ()
    startup_in_order: bool = False
    active_deadline: float | None = None
    ttl: float | None = None
    hosts: tuple[HostEntry, ...] = ()
    #: ``priorityClassName`` and ``priority`` of the training pods.
    priority_class: str = ""
    priority: int | None = None
    warnings: tuple[tuple[str, str], ...] = ()

    def step(self, name: str) -> StepPlan:
        """The step of that name.

        Raises:
            KeyError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    @property
    def pods(self) -> tuple[PodPlan, ...]:
        """All pods; training nodes first, by rank, so that addresses go out in that order."""
        flat = [i for s in self.steps for i in s.pods]
        return tuple(sorted(flat, key=lambda i: (i.rank is None, i.rank or 0)))
