"""The phases of a job: one word for where it is, as sidecars, tables and ``reconciler wait`` have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.state.record import Record

#: The phase of a job that ``spec.suspend`` has stopped; one that was preempted is Queued.
SUSPENDED: Final = "Suspended"
#: The phase of a job that is being removed, while its containers stop.
TERMINATING: Final = "Terminating"
PHASES: Final = (
    "Pending",
    "Queued",
    "Pulling",
    "Initializing",
    "Running",
    "Restarting",
    SUSPENDED,
    "Complete",
    "Failed",
    "Invalid",
    TERMINATING,
)
#: Phases that a job does not leave by itself.
FINISHED_PHASES: Final = frozenset({"Complete", "Failed"})
#: The same, and the phase of a manifest that cannot be used.
ENDED_PHASES: Final = FINISHED_PHASES | {"Invalid"}


def phase_of(record: Record) -> str:
    """Returns the phase as far as a record knows it: whether a container still runs, only the engine does."""
    for phase in ("Failed", "Complete"):
        if record.is_true(phase):
            return phase
    if record.suspended:
        return SUSPENDED
    if record.queued:
        return "Queued"
    running = any(c.container_id and c.result is None for c in record.containers.values())
    return "Running" if running else "Pending"
