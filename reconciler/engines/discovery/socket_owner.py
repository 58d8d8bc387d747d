"""Who listens at an engine's socket: this user, on this host, in sight of the mounts that it makes?"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.common.socket_peers import listener_of


def shares_mounts(url: str) -> bool:
    """Whether the engine at a unix socket is in this process's mount namespace; False where unknown.

    The kernel tells who opened the socket: the engine, or systemd for it, which is in the same one.
    """
    pid, user = _listener(url)
    if pid <= 0 or user != 0:
        return False
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    except OSError:
        return False


def is_own(url: str) -> bool:
    """Whether a Podman of this user on this host is behind a unix socket, no tunnel; False where unknown."""
    pid, user = _listener(url)
    if pid <= 0 or user != os.geteuid():
        return False
    try:
        program = Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False
    # systemd opens it for podman.service.
    return program.startswith(("podman", "systemd"))


def _listener(url: str) -> tuple[int, int]:
    """Process and user that opened a unix socket; ``(0, 0)`` where the kernel does not tell."""
    if not url.startswith("unix://"):
        return 0, 0
    return listener_of(url.removeprefix("unix://"), timeout=5) or (0, 0)
