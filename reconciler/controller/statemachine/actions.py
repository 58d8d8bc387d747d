"""What a decision asks for, and how it went: plain data between :mod:`decide` and the executor. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from reconciler.engines.protocol import ContainerState, NetworkState

if TYPE_CHECKING:
    from reconciler.controller.scheduler.capacity import Allocation

#: Reason of a problem: a container or network of this name is not this job's.
NAME_TAKEN: Final = "NameTaken"
#: The file system of a path that the job mounts does not answer.
HOST_PATH_UNANSWERED: Final = "HostPathUnanswered"
#: Reason of a problem: the engine refuses for the moment (address, name, storage, network set-up busy).
ENGINE_BUSY: Final = "EngineBusy"
#: Reason of a problem: something that is not the job's uses its network or a volume, which stays.
STILL_IN_USE: Final = "StillInUse"
#: Reason of a problem that the engine has, and the condition that tells of it while it lasts.
ENGINE_ERROR: Final = "EngineError"
ENGINE_FAILING: Final = "EngineFailing"
#: Reason of a problem that ends as soon as the image is there, whatever the back-off says.
IMAGE_UNAVAILABLE: Final = "ImageUnavailable"


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Request the job's share of the host (devices, memory, CPUs, a place among ``--max-jobs``)."""


class ImageRequest(NamedTuple):
    """An image with its effective pull policy and the names of the pod's imagePullSecrets."""

    image: str
    policy: str
    pull_secrets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PullImages:
    """Request images that containers need."""

    images: tuple[ImageRequest, ...]


@dataclass(frozen=True, kw_only=True)
class EnsureNetwork:
    """Create the job's network unless it is there."""


@dataclass(frozen=True, kw_only=True)
class PodLaunch:
    """Containers of one pod to be created and started, in the order given.

    Attributes:
        step: the pod's step.
        index: of the pod in its step.
        containers: names on the engine.
        existing: name and id of those that were created but never started (a crash in between).
    """

    step: str
    index: int
    containers: tuple[str, ...]
    existing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Create and start containers, pods side by side, the first one's first."""

    pods: tuple[PodLaunch, ...]


@dataclass(frozen=True, kw_only=True)
class Remove:
    """Stop containers together, keep their logs to the end, remove them; ``why`` is for the log."""

    containers: tuple[ContainerState, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop containers together and leave them for ``podman inspect`` (auto-remove off)."""

    containers: tuple[ContainerState, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class CleanUp:
    """Remove the job's network, scratch volumes and files."""


@dataclass(frozen=True, kw_only=True)
class DumpStacks:
    """Write the stacks of a stalled job's containers beside their logs, before they are stopped."""

    containers: tuple[ContainerState, ...]


Action = DumpStacks | Admit | PullImages | EnsureNetwork | Launch | Remove | Stop | CleanUp


@dataclass(frozen=True, kw_only=True)
class Started:
    """A container that was started; ``ip`` is the address it was given."""

    name: str
    id: str
    ip: str


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """How an action went, for :func:`reconciler.controller.statemachine.action_results.apply_action_result`.

    Attributes:
        started: containers that were started.
        start_failures: container name and why it did not start (counts as the container's failure).
        problem: ``(reason, message)``: the action could not be done; the job waits and tries again.
        network: the job's network, once it is ensured.
        allocation: what the job was given of the host, or why it waits; None when it was not asked for.
        priority: of the job among those that wait for admission.
        stopped: containers that were stopped, with their exit facts.
        limitations: what the engine does not keep of what was asked for, in sentences.
        progress_unavailable: why the daemon cannot receive a training's progress, as a sentence.
        cleaned: the clean-up is complete.
        unfinished: the rest of the action, and what comes after it, waits for a log to be read.
    """

    started: tuple[Started, ...] = ()
    start_failures: tuple[tuple[str, str], ...] = ()
    problem: tuple[str, str] | None = None
    network: NetworkState | None = None
    allocation: Allocation | None = None
    priority: int = 0
    stopped: tuple[ContainerState, ...] = ()
    limitations: tuple[str, ...] = ()
    progress_unavailable: str = ""
    cleaned: bool = False
    unfinished: bool = False
