"""Flux: placeholder until brokers."""

from __future__ import annotations

from reconciler.plan.drafts import JobDraft
from reconciler.plan.frameworks.plain import Plain


class Flux:
    """Upstream's Flux plugin."""

    name = "flux"

    def apply(self, draft: JobDraft) -> None:
        """Plan the nodes."""
        Plain().apply(draft)
