"""The listing of everything that is this instance's, done again and again: what no event told of shows there.

What can go wrong: an engine that is down is waited for; one that answers all else and cannot be listed would
be waited for without end, so it is remembered since when.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from reconciler.controller.snapshots import Digest, differing
from reconciler.engines.protocol import Engine
from reconciler.errors import EngineError
from reconciler.names import LABEL_INSTANCE

_log = structlog.get_logger(__name__)


class Relisting:
    """Lists an instance's things, and remembers how that went."""

    def __init__(self) -> None:
        #: Why the engine could not be listed last time; "": it could.
        self.error = ""
        #: Since when the engine has answered but refused to be listed, in monotonic seconds.
        self.refused_since: float | None = None

    def changed(self, engine: Engine, instance: str, seen: Mapping[str, Digest]) -> list[str] | None:
        """Keys of the jobs that look different from what was seen of them last; None: it can't be listed."""
        try:
            mine = {LABEL_INSTANCE: instance}
            containers = engine.list_containers(mine)
            networks = engine.list_networks(mine)
        except EngineError as error:
            _log.warning("resync failed", reason=str(error))
            self.error = str(error)
            self._note_refusal(engine)
            return None
        self.error, self.refused_since = "", None
        return differing(containers, networks, seen)

    def broke(self) -> None:
        """An error of this program kept the engine from being listed."""
        self.refused_since = self.refused_since or time.monotonic()

    def _note_refusal(self, engine: Engine) -> None:
        """An engine that is down is waited for; one that answers all else and is not listed is told of."""
        try:
            engine.info()
        except EngineError:
            self.refused_since = None
        else:
            self.broke()
