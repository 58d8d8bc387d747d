"""What one pass saw: the engine's listing for one job, and what it needs to know of images and probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.controller.statemachine.image_state import ImageState
from reconciler.engines.protocol import ContainerState, NetworkState
from reconciler.names import LABEL_ATTEMPT, LABEL_CONTAINER, LABEL_INDEX, LABEL_RESTART, LABEL_STEP, LABEL_UID


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What the policy in force has against a job; no message: nothing.

    Attributes:
        digest: of the policy: when it changes, the job is judged anew.
    """

    message: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """Ids of the running containers whose probes pass; those without the probe are not listed.

    Attributes:
        started: its startup probe has passed.
        ready: its readiness probe passes, the startup probe having passed.
    """

    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One label query, as a whole.

    Attributes:
        containers: all that carry the job's and the instance's labels.
        network: the job's own network, if there.
        images: what is known of the plan's images; empty when nothing has to start.
        make_room_for: job of higher priority that needs what this one holds; "" when none.
        probed: which containers' probes pass.
        activity: container id to when it last printed something, seconds since the epoch; only for
            jobs that are watched for stalls.
        refusal: what the policy has against starting anything of the job.
    """

    containers: tuple[ContainerState, ...] = ()
    network: NetworkState | None = None
    images: Mapping[str, ImageState] = field(default_factory=dict)
    make_room_for: str = ""
    probed: Probed = field(default_factory=Probed)
    activity: Mapping[str, float] = field(default_factory=dict)
    refusal: Refusal = field(default_factory=Refusal)


def identity(state: ContainerState) -> tuple[str, int, str]:
    """Step, index and template name that a container's labels claim; index -1 when unreadable."""
    labels = state.labels
    return labels.get(LABEL_STEP, ""), number(labels.get(LABEL_INDEX)), labels.get(LABEL_CONTAINER, "")


def generation_of(state: ContainerState) -> tuple[str, int, int]:
    """The uid, attempt and restart number that a container's labels claim."""
    labels = state.labels
    return labels.get(LABEL_UID, ""), number(labels.get(LABEL_ATTEMPT)), number(labels.get(LABEL_RESTART))


def number(text: str | None) -> int:
    """A label's whole number; -1 for anything else."""
    return int(text) if text is not None and text.isdecimal() else -1
