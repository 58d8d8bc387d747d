"""Maps an engine's error to an exception of this project, with a sentence and a remedy.

Engines explain errors in free text that differs by version and by OCI runtime (runc, crun), and the status
code says little: Podman answers 500 to a taken name, a missing image and a missing network alike. So the text
is matched here and by the table in :mod:`reconciler.engines.http.error_patterns`, and nowhere else. An error
that nothing matches stays an :class:`ApiError` with the engine's own message.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reconciler.common.os_errors import OUT_OF_DESCRIPTORS
from reconciler.engines.host.image_references import registry_of, with_tag
from reconciler.engines.http.error_patterns import BUSY_ERRORS, PULL_ERRORS, START_ERRORS
from reconciler.errors import (
    Busy,
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageError,
    NotFound,
    StartFailed,
)


class ApiError(EngineError):
    """The engine answered with an error status; the callers narrow it down.

    Attributes:
        status: of HTTP; 0 when an error came in the body of a success.
        detail: the engine's message.
    """

    def __init__(self, engine: str, action: str, *, status: int, detail: str) -> None:
        super().__init__(f"{engine} could not {action}: {detail.rstrip('. ')}.")
        self.engine = engine
        self.status = status
        self.detail = detail


#: Characters of a busy engine's message that are shown: iptables repeats itself for every second it waits.
BUSY_DETAIL: Final = 300

_NAME_TAKEN = re.compile(
    r"name.* is already in use|already in use by|already exists|already used", re.IGNORECASE
)
_NO_IMAGE = re.compile(r"image not known|no such image|image .* not found", re.IGNORECASE)
_NO_NETWORK = re.compile(r"network .*not found|unable to find network|no such network", re.IGNORECASE)
_NO_VOLUME = re.compile(r"no such volume|volume .*not found", re.IGNORECASE)
_NOT_FOUND = re.compile(r"no such (?:container|network|volume)$|does not exist in database", re.IGNORECASE)
_EXITING = re.compile(r"could not be stopped|no such process|state improper", re.IGNORECASE)
#: Docker 20.10 and 28 (a paused one as well), Podman.
_IN_USE = re.compile(
    r"cannot remove (?:a |an? )?(?:running|paused) container|container is running: stop|"
    r"container is paused and must be unpaused|running or paused containers cannot be removed without force",
    re.IGNORECASE,
)
#: A network or volume that containers use: Docker, Podman.
_USED = re.compile(
    r"has active endpoints|network is being used|has associated containers|volume is (?:in use|being used)",
    re.IGNORECASE,
)
#: Docker 20.10 and later, Podman.
_NO_LOG = re.compile(r"logging driver does not support reading|cannot read logs", re.IGNORECASE)
_NOT_RUNNING = re.compile(
    r"state improper|is not running|is not paused|can only kill running|not running", re.IGNORECASE
)
#: Where engines repeat the image that was asked for.
_IMAGE_AGAIN = re.compile(
    r"initializing source docker://\S+: |reading manifest \S+ in \S+: |manifest for \S+ not found: "
)


def create_error(error: ApiError, *, name: str, image: str) -> EngineError:
    """Returns the exception for a failed create of a container."""
    detail = error.detail
    if _NO_IMAGE.search(detail):
        return NotFound(
            f"{error.engine} does not have the image {image}.",
            remedy=f"Pull or build it (`{error.engine.lower()} pull {image}`), or correct its name.",
        )
    if _NO_NETWORK.search(detail):
        return NotFound(f"Container {name} cannot join its network: {detail.rstrip('.')}.")
    if _NO_VOLUME.search(detail):
        return NotFound(f"Container {name} cannot mount its volume: {detail.rstrip('.')}.")
    if error.status == 409 or _NAME_TAKEN.search(detail):
        return Conflict(
            f"The name {name} is taken by another container.",
            remedy=f"See `{error.engine.lower()} inspect {name}`; remove or rename it.",
        )
    return _explained(error, name)


def start_error(error: ApiError, *, name: str) -> EngineError:
    """Returns the exception for a failed start of a container."""
    if _NO_NETWORK.search(error.detail):
        # Somebody has removed the network since: it is made again, and the container for it.
        return Busy(f"Container {name} cannot join its network: {error.detail.rstrip('.')}.")
    if is_not_found(error):
        return not_found("container", name, error)
    return _explained(error, name)


def _explained(error: ApiError, name: str) -> EngineError:
    detail = error.detail.rstrip(". ")
    for entry in BUSY_ERRORS:
        if entry.pattern.search(detail):
            said = " ".join(detail.split())[:BUSY_DETAIL]
            return Busy(f"Container {name} {entry.meaning} ({error.engine}: {said}).", remedy=entry.remedy)
    for entry in START_ERRORS:
        match = entry.pattern.search(detail)
        if match:
            group = next((group for group in match.groups() if group), "").strip(" .")
            meaning = entry.meaning.format(group)
            return StartFailed(f"Container {name} {meaning} ({error.engine}: {detail}).", remedy=entry.remedy)
    if error.status == 400:
        return StartFailed(f"Container {name}: {error.message}")
    return error


def create_object_error(kind: str, name: str, error: ApiError) -> EngineError:
    """Returns the exception for a failed create of a network or volume."""
    if error.status == 409 or _NAME_TAKEN.search(error.detail):
        return name_conflict(error.engine, kind, name)
    return error


def name_conflict(engine: str, kind: str, name: str) -> Conflict:
    """Returns the exception for a name that belongs to another network or volume."""
    return Conflict(
        f"The name {name} is taken by another {kind}.",
        remedy=f"See `{engine.lower()} {kind} inspect {name}`; remove or rename it.",
    )


def pull_error(image: str, detail: str) -> ImageError:
    """Returns the exception for a failed pull; it names image, registry and reason, each once."""
    detail = _IMAGE_AGAIN.sub("", " ".join(detail.split())).rstrip(". ")
    entry = next((entry for entry in PULL_ERRORS if entry.pattern.search(detail)), None)
    reason = f"{entry.meaning} ({detail})" if entry else detail
    registry = registry_of(image)
    where = "" if image.startswith(f"{registry}/") else f" from {registry}"
    return ImageError(
        f"Image {with_tag(image)} could not be pulled{where}: {reason}.",
        remedy=entry.remedy if entry else "",
    )


def not_found(kind: str, name: str, error: ApiError) -> NotFound:
    """Returns the exception for a missing container, network or volume."""
    return NotFound(f"{error.engine} has no {kind} {name}.")


@contextmanager
def raising_not_found(kind: str, name: str) -> Iterator[None]:
    """Turns the engine's error for a missing object into :class:`~reconciler.errors.NotFound`."""
    try:
        yield
    except ApiError as error:
        if is_not_found(error):
            raise not_found(kind, name, error) from error
        raise


def is_not_found(error: ApiError) -> bool:
    """Reports that the object is missing; Podman answers 500 when it goes during an inspect."""
    return error.status == 404 or bool(_NOT_FOUND.search(error.detail))


def is_too_late(error: ApiError) -> bool:
    """Reports that a signal came too late: the container is gone, or in no state to get it."""
    return is_not_found(error) or bool(_NOT_RUNNING.search(error.detail))


def is_removed(error: ApiError) -> bool:
    """Reports that a removal came too late: the object is gone, or another client is removing it."""
    return is_not_found(error) or "already in progress" in error.detail


def is_in_use(error: ApiError) -> bool:
    """Reports that a removal without force met a container that runs, or is paused."""
    return bool(_IN_USE.search(error.detail))


def in_use_conflict(kind: str, name: str, error: ApiError) -> Conflict | None:
    """Returns the exception for the removal of a network or volume that is in use; None for other errors."""
    if not _USED.search(error.detail):
        return None
    return Conflict(f"The {kind} {name} is in use ({error.engine}: {error.detail.rstrip('. ')}).")


def is_log_unreadable(error: ApiError) -> bool:
    """Reports that the container's log driver gives nothing back."""
    return bool(_NO_LOG.search(error.detail))


def is_exiting(error: ApiError) -> bool:
    """Reports that a removal met a container that was just exiting by itself: it works a moment later."""
    return bool(_EXITING.search(error.detail)) and not is_in_use(error)


def unavailable(engine: str, url: str, reason: object) -> EngineUnavailable:
    """Returns the exception for an engine that does not answer at its address."""
    return EngineUnavailable(
        f"{engine} does not answer at {url}: {reason}.".replace("..", "."), remedy=start_remedy(engine, url)
    )


def out_of_descriptors(engine: str) -> EngineUnavailable:
    """Returns the exception for a connection that this process may not open any more."""
    return EngineUnavailable(
        f"{engine} cannot be asked: this process has too many files open.", remedy=OUT_OF_DESCRIPTORS
    )


def timed_out(engine: str, action: str, seconds: float) -> EngineError:
    """Returns the exception for an answer that took too long; what was asked for may still have happened."""
    return EngineError(
        f"{engine} took longer than {seconds:.0f} s to {action}; the next listing shows whether it did."
    )


def start_remedy(engine: str, url: str = "") -> str:
    """Returns the commands that start Podman or Docker."""
    if sys.platform == "darwin":
        if engine == "Podman":
            return "Start Podman with `podman machine start`."
        return "Start Docker Desktop, or Colima with `colima start`."
    if engine == "Podman":
        socket = url if url.startswith("unix://") else "unix:///tmp/podman.sock"
        return (
            "Start Podman with `systemctl --user enable --now podman.socket`, or without systemd with "
            f"`podman system service --time=0 {socket}` (then `--container-host {socket}`)."
        )
    return "Start Docker with `sudo systemctl start docker` (rootless: `systemctl --user start docker`)."
