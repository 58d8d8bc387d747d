"""The exceptions of this project, in one tree.

::

    ReconcilerError               a failure with a message and a remedy for the user
    ├── ConfigError               an option, variable or reconciler.yaml is wrong
    ├── NotAFolder                --specs names a file
    ├── PlanError                 a runtime and a job, each valid, do not make a plan
    ├── PolicyDenied              the policy in force does not allow what a job asks for
    ├── StateError                a record, sidecar or other state file cannot be read or written
    ├── ListenError               a server cannot listen at its address
    └── EngineError               an engine refused or failed
        ├── EngineUnavailable     no engine answers at the address
        ├── Busy                  it refuses for the moment: an address, a name, storage is in use still
        ├── Conflict              the name is taken, or what is to be removed is in use
        ├── NotFound              the container, network, volume or image does not exist
        ├── ImageError            the image cannot be had (registry, tag, credentials, pull policy)
        ├── LogUnreadable         the engine keeps the container's output where nobody can read it
        ├── StartFailed           the container exists and cannot start (command, device, address, limits)
        └── Drifted               the engine created something else than what was asked for

Packages derive their own from these, beside the code that raises them. An ``EngineError`` that is none of its
subclasses counts as temporary and is retried with back-off.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """A failure in sentences that a user can act on.

    Args:
        message: what is wrong, and where.
        remedy: what to do about it; empty where the message already says so.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class ConfigError(ReconcilerError):
    """An option, an environment variable or ``reconciler.yaml`` is wrong."""


class NotAFolder(ReconcilerError):  # noqa: N818  (names a state, as the others do)
    """The path given as the folder of manifests is something else; mostly a single manifest."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is a file, not a folder of manifests.",
            remedy="Name the folder it is in with --specs DIR.",
        )


class PlanError(ReconcilerError):
    """A runtime and a TrainJob are each valid, but do not make a plan together.

    Args:
        message: what is wrong.
        path: the TrainJob's field that causes it, as in ``spec.runtimeRef``.
        remedy: what to do.
    """

    def __init__(self, message: str, *, path: str = "spec", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path


class PolicyDenied(ReconcilerError):  # noqa: N818
    """The policy in force does not allow what a job asks for; nothing of the job is started."""


class StateError(ReconcilerError):
    """A record, a status sidecar or another file of the state cannot be read or written."""


class ListenError(ReconcilerError):
    """A server cannot listen at its address; ``taken``: another program has the port."""

    def __init__(self, message: str, *, remedy: str = "", taken: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.taken = taken


class EngineError(ReconcilerError):
    """An engine refused or failed; retried with back-off unless a subclass says otherwise."""


class EngineUnavailable(EngineError):  # noqa: N818
    """No engine answers at the address; the daemon keeps running and tries again."""


class Busy(EngineError):  # noqa: N818
    """The engine refuses for the moment (address, name, port, storage or network set-up is busy).

    Nobody's fault: it is tried again soon, and never counted as the container's failure.
    """


class Conflict(EngineError):  # noqa: N818
    """The name (container, network, volume) is taken, or what is to be removed is in use."""


class NotFound(EngineError):  # noqa: N818
    """The container, network, volume or image does not exist."""


class ImageError(EngineError):
    """An image cannot be had: the message names image, registry and the registry's reason."""


class StartFailed(EngineError):  # noqa: N818
    """The container exists, but the engine cannot start it (command, device, address, limit)."""


class LogUnreadable(EngineError):  # noqa: N818
    """The engine does not give this container's output, whenever it is asked (its log driver keeps none)."""


class Drifted(EngineError):  # noqa: N818
    """After create, inspect shows something else than what was asked for; the message names the field."""
