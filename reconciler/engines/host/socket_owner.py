"""Who listens at an engine's unix socket: a process of this user, of this host, in this mount namespace?"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.common.socket_peers import find_listener


def shares_mounts(url: str) -> bool:
    """Reports whether the engine at a unix socket is in this process's mount namespace; False where unknown.

    The kernel knows who opened the socket: the engine, or systemd for it, which is in the same one.
    """
    pid, user = _listener(url)
    if pid <= 0 or user != 0:
        return False
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    except OSError:
        return False


def is_own_podman(url: str) -> bool:
    """Reports whether this user's local Podman is behind a unix socket, no tunnel; False where unknown."""
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
    """Returns pid and uid of the process that opened a unix socket; ``(0, 0)`` where unknown."""
    if not url.startswith("unix://"):
        return 0, 0
    return find_listener(url.removeprefix("unix://"), timeout=5) or (0, 0)
