"""What an engine's refusal means, as an exception of this project and a sentence with a remedy.

Engines say it in free text that differs by version and by OCI runtime (runc, crun), and the status code
says little: Podman answers 500 to a taken name, a missing image and a missing network alike. So the text is
matched here, and only here. What no rule knows stays an :class:`EngineError` with the engine's own words.
"""

from __future__ import annotations

import re
import sys

from reconciler.engines.host.image_names import full_name, registry_of
from reconciler.engines.http.engine_error_messages import PULL_RULES, START_RULES
from reconciler.errors import Conflict, EngineError, EngineUnavailable, ImageError, NotFound, StartFailed


class Refused(EngineError):  # noqa: N818  (as its siblings in reconciler.errors)
    """The engine answered with an error status; the callers narrow it down.

    Attributes:
        status: of HTTP; 0 when an error came in the body of a success.
        detail: the engine's words.
    """

    def __init__(self, engine: str, what: str, *, status: int, detail: str) -> None:
        super().__init__(f"{engine} could not {what}: {detail.rstrip('. ')}.")
        self.engine = engine
        self.what = what
        self.status = status
        self.detail = detail


_NAME_TAKEN = re.compile(
    r"name.* is already in use|already in use by|already exists|already used", re.IGNORECASE
)
_NO_IMAGE = re.compile(r"image not known|no such image|image .* not found", re.IGNORECASE)
_NO_NETWORK = re.compile(r"network .*not found|unable to find network|no such network", re.IGNORECASE)
_NO_VOLUME = re.compile(r"no such volume|volume .*not found", re.IGNORECASE)
_GONE = re.compile(r"no such (?:container|network|volume)$|does not exist in database", re.IGNORECASE)
_ENDING = re.compile(r"could not be stopped|no such process|state improper", re.IGNORECASE)
#: Docker 20.10 and 28 (a paused one as well), Podman.
_IN_USE = re.compile(
    r"cannot remove (?:a |an? )?(?:running|paused) container|container is running: stop|"
    r"container is paused and must be unpaused|running or paused containers cannot be removed without force",
    re.IGNORECASE,
)
_NOT_RUNNING = re.compile(
    r"state improper|is not running|is not paused|can only kill running|not running", re.IGNORECASE
)


def create_failure(refused: Refused, *, name: str, image: str) -> EngineError:
    """What a refused create means."""
    detail = refused.detail
    if _NO_IMAGE.search(detail):
        return NotFound(
            f"{refused.engine} does not have the image {image}.",
            remedy=f"Pull or build it (`{refused.engine.lower()} pull {image}`), or correct its name.",
        )
    if _NO_NETWORK.search(detail):
        return NotFound(f"Container {name} cannot join its network: {detail.rstrip('.')}.")
    if _NO_VOLUME.search(detail):
        return NotFound(f"Container {name} cannot mount its volume: {detail.rstrip('.')}.")
    if refused.status == 409 or _NAME_TAKEN.search(detail):
        return Conflict(
            f"The name {name} is taken by another container.",
            remedy=f"See `{refused.engine.lower()} inspect {name}`; remove or rename it.",
        )
    return _explained(refused, name)


def start_failure(refused: Refused, *, name: str) -> EngineError:
    """What a refused start means."""
    if _NO_NETWORK.search(refused.detail):
        return StartFailed(f"Container {name} cannot join its network: {refused.detail.rstrip('.')}.")
    if is_gone(refused):
        return missing("container", name, refused)
    return _explained(refused, name)


def _explained(refused: Refused, name: str) -> EngineError:
    words = refused.detail.rstrip(". ")
    for rule in START_RULES:
        match = rule.pattern.search(words)
        if match:
            found = next((group for group in match.groups() if group), "").strip(" .")
            says = rule.says.format(found)
            return StartFailed(f"Container {name} {says} ({refused.engine}: {words}).", remedy=rule.remedy)
    if refused.status == 400:
        return StartFailed(f"Container {name}: {refused.message}")
    return refused


def missing(kind: str, name: str, refused: Refused) -> NotFound:
    """The thing of this kind and name is not there."""
    return NotFound(f"{refused.engine} has no {kind} {name}.")


def is_gone(refused: Refused) -> bool:
    """The thing is not there; Podman answers 500 when it goes while it is looked at."""
    return refused.status == 404 or bool(_GONE.search(refused.detail))


def is_past(refused: Refused) -> bool:
    """A signal came too late: the container is gone, or in no state to get it."""
    return is_gone(refused) or bool(_NOT_RUNNING.search(refused.detail))


def is_removed(refused: Refused) -> bool:
    """A removal came too late: the thing is gone, or somebody else is removing it."""
    return is_gone(refused) or "already in progress" in refused.detail


def is_in_use(refused: Refused) -> bool:
    """A removal without force met a container that runs, or is paused."""
    return bool(_IN_USE.search(refused.detail))


def is_ending(refused: Refused) -> bool:
    """A removal met a container that was just ending by itself: it works a moment later."""
    return bool(_ENDING.search(refused.detail)) and not is_in_use(refused)


def taken(kind: str, name: str, refused: Refused) -> EngineError:
    """A create of a network or volume was refused: the name is taken, or something else."""
    if refused.status == 409 or _NAME_TAKEN.search(refused.detail):
        return name_taken(refused.engine, kind, name)
    return refused


def name_taken(engine: str, kind: str, name: str) -> Conflict:
    """The name belongs to another network or volume."""
    return Conflict(
        f"The name {name} is taken by another {kind}.",
        remedy=f"See `{engine.lower()} {kind} inspect {name}`; remove or rename it.",
    )


def pull_failure(image: str, detail: str) -> ImageError:
    """Why an image could not be pulled; names image, registry and the registry's reason."""
    words = " ".join(detail.split()).rstrip(". ")
    rule = next((rule for rule in PULL_RULES if rule.pattern.search(words)), None)
    reason = f"{rule.says} ({words})" if rule else words
    return ImageError(
        f"Image {image} ({full_name(image)}) could not be pulled from {registry_of(image)}: {reason}.",
        remedy=rule.remedy if rule else "",
    )


def unreachable(engine: str, url: str, reason: object) -> EngineUnavailable:
    """Nobody answers at the address."""
    return EngineUnavailable(
        f"{engine} does not answer at {url}: {reason}.".replace("..", "."), remedy=how_to_start(engine, url)
    )


def timed_out(engine: str, what: str) -> EngineError:
    """An answer took too long; what was asked for may still have happened."""
    return EngineError(f"{engine} took too long to {what}; whether it did is seen at the next look.")


def how_to_start(engine: str, url: str = "") -> str:
    """The commands that start Podman or Docker."""
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
