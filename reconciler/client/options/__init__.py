"""Options for ``train(options=[...])``: upstream's, all of which work here."""

from __future__ import annotations

from reconciler.client.options import kubernetes
from reconciler.client.options.common import Name
from reconciler.client.options.kubernetes import *  # noqa: F403  (this package re-exports that module)

__all__ = ["Name"]
__all__ += kubernetes.__all__
