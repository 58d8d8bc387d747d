"""The listeners for rootless Podman's networks, which are in a network namespace that the daemon is not in.

The namespace appears with the user's first container and disappears with the last, and the next one is
another: a socket in an old one receives nothing, and no error says so. So an open listener is checked on each
pass, which costs one system call, and replaced where the namespace has no way out any more, or lacks the
gateway of a network whose containers run. What can go wrong: the namespace cannot be entered; the job's
status says so, and it is tried again after a while.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from reconciler.controller.nodeservices.progress.bridge_discovery import BridgeDiscovery
from reconciler.controller.nodeservices.progress.progress_listeners import ProgressListeners
from reconciler.engines.podman.rootless_namespace import rootless_namespace_entry
from reconciler.engines.protocol import EngineInfo
from reconciler.errors import ListenError
from reconciler.server.network_namespaces import interface_addresses, open_socket_inside

#: Seconds until a failed entry is tried again: a pass must not wait for it each time.
RETRY_DELAY: Final = 60.0
LOOPBACK_PREFIX: Final = "127."


class RootlessListeners:
    """Opens gateways inside the namespace; safe to call from several threads.

    Args:
        listeners: holds the open listeners.
        clock: monotonic seconds.
        recheck: requests another check of a job, by its key.
    """

    def __init__(
        self, listeners: ProgressListeners, *, clock: Callable[[], float], recheck: Callable[[str], None]
    ) -> None:
        self._listeners = listeners
        self._clock = clock
        self._recheck = recheck
        self._bridges = BridgeDiscovery(clock=clock, has_address=self._has_open_gateway)
        self._lock = threading.Lock()
        self._failure: ListenError | None = None
        self._failed_at = 0.0

    def open(self, info: EngineInfo, gateway: str, key: str, *, running: bool) -> int:
        """Opens the gateway of a job's network, unless it is open, and returns its port.

        Args:
            info: facts of the engine.
            gateway: its address.
            key: ``namespace/name`` of the job.
            running: containers of the network run, so its bridge must be there.

        Raises:
            ListenError: it cannot be opened now.
            StateError: the certificate cannot be written.
        """
        if self._bridges.elsewhere:
            raise ListenError(
                "`podman unshare --rootless-netns` enters another namespace than its networks'."
            )

        def usable(listener: socket.socket) -> bool:
            addresses = interface_addresses(listener)
            return (
                gateway in addresses if running else any(not a.startswith(LOOPBACK_PREFIX) for a in addresses)
            )

        port = self._listeners.open(
            gateway, key, freebind=True, open_socket=partial(self._open_inside, info), usable=usable
        )
        if self._bridges.check(key, gateway, running=running):
            self._recheck(key)
        return port

    def _has_open_gateway(self, gateway: str) -> bool:
        return self._listeners.is_open(gateway, lambda listener: gateway in interface_addresses(listener))

    def _open_inside(self, info: EngineInfo, address: str, port: int) -> socket.socket:
        with self._lock:
            if self._failure is not None and self._clock() - self._failed_at < RETRY_DELAY:
                raise self._failure
        try:
            opened = open_socket_inside(rootless_namespace_entry(info, os.environ), address, port)
        except ListenError as error:
            if not error.taken:
                with self._lock:
                    self._failure, self._failed_at = error, self._clock()
            raise
        with self._lock:
            self._failure = None
        return opened
