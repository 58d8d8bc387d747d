"""The addresses of rootless Podman's networks, which are in a namespace that the daemon is not in.

The namespace comes with the user's first container and goes with the last, and the next one is another: what
listens in an old one hears nothing, and nobody says so. So an open listener is looked at on each pass, which
costs one system call, and replaced where the namespace has no way out any more, or lacks the gateway of a
network whose containers run. What can go wrong: nobody gets in; that is told, and tried again after a while.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Final

from reconciler.controller.nodeservices.progress.bridge_discovery import Bridges
from reconciler.controller.nodeservices.progress.progress_listeners import Listeners
from reconciler.engines.podman.rootless_namespace import entrance
from reconciler.engines.protocol import EngineInfo
from reconciler.errors import ServingError
from reconciler.server.network_namespaces import addresses_of, listen_inside

#: Seconds until what failed is tried again: a pass must not wait for it each time.
RETRY: Final = 60.0
LOOPBACK: Final = "127."


class RootlessNetworks:
    """See the module; safe to call from several threads.

    Args:
        listeners: where the addresses are opened.
        clock: monotonic seconds.
        doubt: asked to have another look at a job, by its key.
    """

    def __init__(
        self, listeners: Listeners, *, clock: Callable[[], float], doubt: Callable[[str], None]
    ) -> None:
        self._listeners = listeners
        self._clock = clock
        self._doubt = doubt
        self._bridges = Bridges(clock=clock, local=self._heard)
        self._lock = threading.Lock()
        self._failure: ServingError | None = None
        self._failed_at = 0.0

    def port(self, info: EngineInfo, address: str, key: str, *, running: bool) -> int:
        """The port for a job at the gateway of its network.

        Args:
            info: who the engine is.
            address: of the gateway.
            key: ``namespace/name`` of the job.
            running: containers of the network run, so its bridge must be there.

        Raises:
            ServingError: it cannot be opened now.
            StateError: the certificate cannot be written.
        """
        if self._bridges.elsewhere:
            raise ServingError(
                "`podman unshare --rootless-netns` enters another namespace than its networks'."
            )

        def opened(address: str, port: int) -> socket.socket:
            return self._opened(info, address, port)

        def good(listener: socket.socket) -> bool:
            there = addresses_of(listener)
            return address in there if running else any(not one.startswith(LOOPBACK) for one in there)

        port = self._listeners.port(address, key, early=True, opened_by=opened, good=good)
        if self._bridges.look(key, address, running=running):
            self._doubt(key)
        return port

    def _heard(self, address: str) -> bool:
        return self._listeners.serves(address, lambda opened: address in addresses_of(opened))

    def _opened(self, info: EngineInfo, address: str, port: int) -> socket.socket:
        with self._lock:
            if self._failure is not None and self._clock() - self._failed_at < RETRY:
                raise self._failure
        try:
            made = listen_inside(entrance(info, os.environ), address, port)
        except ServingError as error:
            if not error.taken:
                with self._lock:
                    self._failure, self._failed_at = error, self._clock()
            raise
        with self._lock:
            self._failure = None
        return made
