"""What the client raises: sentences for people, in types that code written for ``kubeflow.trainer`` catches.

Upstream raises ValueError for wrong arguments, RuntimeError for failures, and for a job that is not there the
one or the other depending on the backend; so a missing job is both here.
"""

from __future__ import annotations

from reconciler.errors import EngineUnavailable, ReconcilerError


class InvalidRequest(ReconcilerError, ValueError):  # noqa: N818
    """The arguments make no job that could run."""


def name_taken(name: str) -> InvalidRequest:
    """For a job whose name is in use."""
    return InvalidRequest(
        f"There is a TrainJob {name} already.", remedy="Give another name, or delete_job() it."
    )


class FunctionNotShippable(InvalidRequest):
    """The function, or its arguments, cannot be sent to a container as source."""


class JobNotThere(ReconcilerError, ValueError, RuntimeError):  # noqa: N818
    """There is no job of the name."""


class JobFailed(ReconcilerError, RuntimeError):  # noqa: N818
    """A job that was waited for has failed; the message has ranks, exit codes and last lines."""


class WaitedTooLong(ReconcilerError, TimeoutError):  # noqa: N818
    """The job did not get there in time."""


class NoEngine(EngineUnavailable, RuntimeError):  # noqa: N818
    """No container engine answers."""
