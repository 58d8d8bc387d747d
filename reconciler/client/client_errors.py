"""Exceptions of the client: messages for people, in types that code written for ``kubeflow.trainer`` catches.

Upstream raises ValueError for wrong arguments, RuntimeError for failures, and for a missing job the one or
the other depending on the backend; so a missing job is both here.
"""

from __future__ import annotations

from reconciler.errors import EngineUnavailable, ReconcilerError


class InvalidRequest(ReconcilerError, ValueError):  # noqa: N818
    """The arguments do not make a job that could run."""


class NameInUse(InvalidRequest):
    """A TrainJob of this name exists already."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a TrainJob {name} already.", remedy="Give another name, or delete_job() it."
        )


class FunctionSourceError(InvalidRequest):
    """The function, or its arguments, cannot be sent to a container as source."""


class JobNotFound(ReconcilerError, ValueError, RuntimeError):  # noqa: N818
    """There is no job of the name, or several; the message says which there are."""


class JobFailed(ReconcilerError, RuntimeError):  # noqa: N818
    """A job that was waited for has failed; the message has ranks, exit codes and last lines."""


class WaitTimeout(ReconcilerError, TimeoutError):  # noqa: N818
    """The job did not reach the status, or was not removed, in time."""


class NoEngine(EngineUnavailable, RuntimeError):  # noqa: N818
    """No container engine answers."""
