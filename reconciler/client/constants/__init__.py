"""Constants: ``from reconciler.client import constants``, or ``constants.constants`` as upstream has them."""

from __future__ import annotations

from reconciler.client.constants import constants
from reconciler.client.constants.constants import *  # noqa: F403  (this package re-exports that module)

__all__ = [name for name in vars(constants) if name.isupper()] + ["constants"]
