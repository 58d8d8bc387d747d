"""Every exception of this project, in one tree.

::

    ReconcilerError               what a person may read: message and remedy
    ├── ConfigError               an option, variable or reconciler.yaml is wrong
    ├── NotAFolder                a file, where the folder of manifests should be
    ├── PlanError                 runtime and job do not make a plan
    ├── PolicyRefused             a manifest asks for what the policy does not allow
    ├── StateError                a record or sidecar cannot be read or written
    ├── ServingError              an address to listen at cannot be had
    └── EngineError               the container engine said no
        ├── EngineUnavailable     nobody answers: wait and try again
        ├── Conflict              the name is taken
        ├── NotFound              container, network, volume or image is not there
        ├── ImageError            an image cannot be had (registry, tag, credentials, policy)
        ├── StartFailed           created, but it would not start (bad command, device, address, limits)
        └── Drifted               the engine made something else than what was asked for

An ``EngineError`` that is none of the named ones is taken as passing: retried with back-off.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """A failure said in sentences a user can act on.

    Args:
        message: what is wrong, and where.
        remedy: what to do about it; may be empty when the message already says so.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class ConfigError(ReconcilerError):
    """An option, an environment variable or ``reconciler.yaml`` is wrong."""


class NotAFolder(ReconcilerError):  # noqa: N818  (a state of the world, not a mistake)
    """What is named as the folder of manifests is something else; a single manifest, mostly."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is no folder of manifests, but a file.",
            remedy="Name the folder it is in with --specs DIR.",
        )


class PlanError(ReconcilerError):
    """Runtime and TrainJob are each valid, but together make no plan.

    Args:
        message: what is wrong.
        path: field of the TrainJob that names it, as in ``spec.runtimeRef``.
        remedy: what to do.
    """

    def __init__(self, message: str, *, path: str = "spec", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path


class PolicyRefused(ReconcilerError):  # noqa: N818  (what was done, not a mistake)
    """A job asks for something that the policy in force does not allow; nothing of it is started."""


class StateError(ReconcilerError):
    """A record or a status sidecar cannot be read or written."""


class ServingError(ReconcilerError):
    """An address to listen at cannot be had; ``taken``: another program has the port."""

    def __init__(self, message: str, *, remedy: str = "", taken: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.taken = taken


class EngineError(ReconcilerError):
    """The container engine refused or failed; retried with back-off unless a subclass says otherwise."""


class EngineUnavailable(EngineError):  # noqa: N818  (a state of the world, not a mistake)
    """No engine answers at the address; the daemon keeps running and tries again."""


class Conflict(EngineError):  # noqa: N818
    """The name (container, network, volume) or address is already taken."""


class NotFound(EngineError):  # noqa: N818
    """The container, network, volume or image does not exist."""


class ImageError(EngineError):
    """An image cannot be had: the message names image, registry and the registry's reason."""


class StartFailed(EngineError):  # noqa: N818
    """The container exists but the engine could not start it (command, device, address, limit)."""


class Drifted(EngineError):  # noqa: N818
    """After create, inspect shows something else than what was asked for; the message names the field."""
