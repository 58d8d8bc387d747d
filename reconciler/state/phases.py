"""The phases of a job: one word for where it is, as sidecars, tables and ``reconciler wait`` have it."""

from __future__ import annotations

from typing import Final

PHASES: Final = (
    "Pending",
    "Queued",
    "Pulling",
    "Initializing",
    "Running",
    "Restarting",
    "Suspended",
    "Complete",
    "Failed",
    "Invalid",
)
#: Phases that a job does not leave by itself.
FINISHED_PHASES: Final = frozenset({"Complete", "Failed"})
#: The same, and the phase of a manifest that cannot be used.
ENDED_PHASES: Final = FINISHED_PHASES | {"Invalid"}
