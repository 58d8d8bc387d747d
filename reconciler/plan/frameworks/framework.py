"""What a framework plugin is."""

from __future__ import annotations

from typing import Protocol

from reconciler.plan.draft import JobDraft


class Framework(Protocol):
    """What a framework adds to a job: counts of nodes, environment, ports, volumes, command.

    A plugin sees the draft with the runtime patches in it and before the job's image, command,
    arguments, resources and environment are laid over it (upstream's order).
    """

    name: str

    def apply(self, draft: JobDraft) -> None:
        """Write into ``draft`` what the framework's processes need.

        Raises:
            PlanError: the runtime lacks what the framework needs.
        """
