"""Words of the API: ``from reconciler.client import constants``, or ``constants.constants`` as upstream."""

from __future__ import annotations

from reconciler.client.constants import constants
from reconciler.client.constants.constants import *  # noqa: F403  (this package is that module's other name)

__all__ = [name for name in vars(constants) if name.isupper()] + ["constants"]
