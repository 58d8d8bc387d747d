"""What is known of an image: pure data, for decisions and for the status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reconciler.engines.protocol import PullProgress

ImageStatus = Literal["present", "pulling", "failed", "absent"]


@dataclass(frozen=True, kw_only=True)
class ImageState:
    """How it stands with an image.

    Attributes:
        status: ``present``: containers can be made; ``pulling``: waits for its turn or is being pulled;
            ``failed``: the last try failed, the next is at ``retry_at``; ``absent``: not there, and the
            policy is Never (looked for again at ``retry_at``), or nobody has asked.
        message: for people: what is wrong and what to do, or how far a pull is.
        retry_at: seconds since the epoch; ask again then.
        attempts: tries that failed in a row.
    """

    image: str
    status: ImageStatus
    progress: PullProgress | None = None
    message: str = ""
    retry_at: float | None = None
    attempts: int = 0
