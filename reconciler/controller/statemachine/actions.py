"""What a decision asks of the engine: plain data; ``launching.py`` and ``stopping.py`` carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.engines.protocol import ContainerState

#: Reason of the problem that a thing of this name belongs to somebody else.
NAME_TAKEN: Final = "NameTaken"


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Ask the host's ledger for what the job requests (devices, a place among ``--max-jobs``)."""


@dataclass(frozen=True, kw_only=True)
class PullImages:
    """Have these images fetched, by their effective pull policy.

    Attributes:
        images: ``(image, policy, names of imagePullSecrets)``.
    """

    images: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class EnsureNetwork:
    """Create the job's network unless it is there."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Create and start containers of one pod, in the order given.

    Attributes:
        step: the pod's step.
        index: of the pod in its step.
        containers: names on the engine.
        existing: ids of wanted ones that were created but never started (a crash in between).
    """

    step: str
    index: int
    containers: tuple[str, ...]
    existing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Remove:
    """Stop containers together, keep their logs to the end, remove them.

    Attributes:
        containers: as listed.
        why: for the log.
    """

    containers: tuple[ContainerState, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop containers together and leave them for ``podman inspect`` (auto-remove off)."""

    containers: tuple[ContainerState, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class CleanUp:
    """Remove the job's network, scratch volumes and files.

    Attributes:
        volumes: also the named volumes that belong to the job (it is being deleted).
        forget: also the record and the sidecar.
    """

    volumes: bool = False
    forget: bool = False


@dataclass(frozen=True, kw_only=True)
class Dump:
    """Ask containers of a stalled job where they stand, before they are stopped."""

    containers: tuple[ContainerState, ...]


Action = Dump | Admit | PullImages | EnsureNetwork | Launch | Remove | Stop | CleanUp


@dataclass(frozen=True, kw_only=True)
class Started:
    """A container that runs now; ``ip`` is the address it was given."""

    name: str
    id: str
    ip: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an action went, for :func:`reconciler.controller.statemachine.action_results.note`.

    Attributes:
        started: those that run now.
        failed: container name to the sentence why it did not start (counts as the container's failure).
        problem: ``(reason, message)``: the action could not be done; the job waits and tries again.
        network: ``(id, subnet, gateway, port)`` of an ensured network.
        admitted: device assignment per pod; None when not asked or refused; with the ``share``.
        waiting: why admission was refused; "" when admitted. ``share`` is then what was asked for.
        limits: what the engine does not keep of what was asked for, in sentences.
        unheard: why the daemon cannot hear of a training's progress, as a sentence.
        ended: containers that were stopped, with their exit facts.
        cleaned: the clean-up is complete.
    """

    started: tuple[Started, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    problem: tuple[str, str] | None = None
    network: tuple[str, str, str, int | None] | None = None
    admitted: dict[str, dict[str, tuple[str, ...]]] | None = None
    share: Mapping[str, float] | None = None
    priority: int = 0
    waiting: str = ""
    ended: tuple[ContainerState, ...] = ()
    limits: tuple[str, ...] = ()
    unheard: str = ""
    cleaned: bool = False
