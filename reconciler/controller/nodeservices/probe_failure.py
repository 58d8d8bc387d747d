"""Why a probe did not succeed: one exception for all the ways, apart from what loads an HTTP library."""

from __future__ import annotations

from typing import Final

from reconciler.errors import ReconcilerError

OUT_OF_REACH: Final = "the container's network is out of reach of this host"


class ProbeFailed(ReconcilerError):  # noqa: N818  (an answer, as a rule)
    """A probe did not succeed; says why."""
