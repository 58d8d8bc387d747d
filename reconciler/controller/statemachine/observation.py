"""What one pass knows of a job: the engine's listing, and facts about images, probes and the policy. Pure.

Also which place in the plan a container has: that of its labels, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from reconciler.engines.protocol import ContainerState, NetworkState
from reconciler.names import LABEL_ATTEMPT, LABEL_CONTAINER, LABEL_INDEX, LABEL_RESTART, LABEL_STEP, LABEL_UID
from reconciler.plan.job_plan import ContainerPlan, JobPlan
from reconciler.state.record import Record


@dataclass(frozen=True, kw_only=True)
class ImageState:
    """What is known of an image.

    Attributes:
        status: ``present``: containers can be created; ``pulling``: being pulled, or waiting for its turn;
            ``failed``: the last try failed, the next is at ``retry_at``; ``absent``: not there, and the
            policy is Never (looked for again at ``retry_at``), or it was not requested yet.
        message: for people: what is wrong and what to do, or how far a pull is.
        retry_at: seconds since the epoch; ask again then.
        attempts: tries that failed in a row.
    """

    image: str
    status: Literal["present", "pulling", "failed", "absent"]
    message: str = ""
    retry_at: float | None = None
    attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class PolicyRefusal:
    """Why the policy in force refuses a job; an empty message: it does not.

    Attributes:
        digest: of the policy: when it changes, a refused job is checked again.
    """

    message: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class ProbeResults:
    """Ids of the running containers whose probes pass; those without the probe are not listed.

    Attributes:
        started: its startup probe has passed.
        ready: its readiness probe passes, the startup probe having passed.
    """

    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()


LogProgress = Literal["following", "reading", "whole", "late", "lost"]


@dataclass(frozen=True)
class LogState:
    """How far the kept log of a container is.

    Attributes:
        progress: ``following``: the container has not ended; ``reading``: it has, and the rest is being read;
            ``whole``: all is on disk; ``late``: the disk has refused it for too long to wait for, and it is
            read when there is room; ``lost``: the engine does not give the rest.
        problem: why it cannot be written now, or why it is lost, as a sentence; "" for no problem.
    """

    progress: LogProgress
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A container or network with a job's labels that is not the job's own.

    Attributes:
        id: of the container, or of the network.
    """

    kind: Literal["container", "network"]
    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One label query, as a whole, and the facts that go with it.

    Attributes:
        containers: the job's own (:mod:`~reconciler.controller.statemachine.ownership`).
        network: the job's own network, if there.
        strays: what carries the job's and the instance's labels and is not the job's own.
        images: what is known of the plan's images; empty when nothing has to start.
        preempted_by: job of higher priority that needs what this one holds; "" when none.
        probes: which containers' probes pass.
        last_output: container id to when it last printed something, seconds since the epoch; only for
            jobs that are watched for stalls.
        refusal: why the policy refuses to start anything of the job.
        logs: container id to how far its kept log is; one that is not there is whole.
    """

    containers: tuple[ContainerState, ...] = ()
    network: NetworkState | None = None
    strays: tuple[Stray, ...] = ()
    images: Mapping[str, ImageState] = field(default_factory=dict)
    preempted_by: str = ""
    probes: ProbeResults = field(default_factory=ProbeResults)
    last_output: Mapping[str, float] = field(default_factory=dict)
    refusal: PolicyRefusal = field(default_factory=PolicyRefusal)
    logs: Mapping[str, LogState] = field(default_factory=dict)

    def must_stay(self, containers: Iterable[ContainerState]) -> bool:
        """Whether containers cannot go yet, though all have ended, because the log of one is not on disk.

        None of them can: an engine removes with a container those that share its network.
        """
        containers = tuple(containers)
        if any(c.state not in {"exited", "created"} for c in containers):
            return False
        return any(c.id in self.logs and self.logs[c.id].progress in {"reading", "late"} for c in containers)


def planned_containers(plan: JobPlan) -> dict[tuple[str, int, str], ContainerPlan]:
    """Returns the plan's containers by their identity (:func:`container_identity`)."""
    return {(pod.step, pod.index, c.container): c for pod in plan.pods for c in pod.containers}


def container_identity(state: ContainerState) -> tuple[str, int, str]:
    """Returns the step, index and template name in a container's labels; index -1 when unreadable."""
    labels = state.labels
    return labels.get(LABEL_STEP, ""), label_number(labels.get(LABEL_INDEX)), labels.get(LABEL_CONTAINER, "")


def run_identity(state: ContainerState) -> tuple[str, int, int]:
    """Returns the uid, attempt and restart number in a container's labels."""
    labels = state.labels
    return (
        labels.get(LABEL_UID, ""),
        label_number(labels.get(LABEL_ATTEMPT)),
        label_number(labels.get(LABEL_RESTART)),
    )


def is_current_run(state: ContainerState, record: Record, name: str) -> bool:
    """Whether a listed container is the desired run of the planned container ``name``."""
    return run_identity(state) == (record.uid, record.attempt, record.container(name).restart)


def label_number(text: str | None) -> int:
    """Parses a label's whole number; -1 for anything else."""
    return int(text) if text is not None and text.isdecimal() else -1
