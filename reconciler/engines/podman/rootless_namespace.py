"""The way into the network namespace in which rootless Podman keeps a user's networks.

Podman has a command for it, which makes the namespace where there is none. It works for the user whose
Podman it is, on the same host; for another user's Podman there is no way, and the error says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.engines.host import socket_owner
from reconciler.engines.protocol import EngineInfo
from reconciler.errors import ListenError
from reconciler.server.network_namespaces import NamespaceEntry

#: Variables by which Podman finds its files and its user. Not those that make it a client of another, and no
#: secrets: what it starts for the network has this environment for good.
_KEPT: Final = ("HOME", "USER", "LOGNAME", "PATH", "LANG", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS")
_KEPT_PREFIXES: Final = ("XDG_", "CONTAINERS_")


def rootless_namespace_entry(info: EngineInfo, environment: Mapping[str, str]) -> NamespaceEntry:
    """Returns the command that enters the network namespace of a rootless Podman.

    Args:
        info: of the engine.
        environment: this process's.

    Raises:
        ListenError: this process cannot enter it.
    """
    if not socket_owner.is_own_podman(info.host):
        raise ListenError(
            f"rootless Podman keeps its networks in a namespace of its own, and the one at {info.host} is "
            "not this user's on this host.",
            remedy="Run the reconciler as the user whose Podman it is, or give the pods `hostNetwork: true`.",
        )
    program = shutil.which("podman", path=environment.get("PATH"))
    if program is None:
        raise ListenError(
            "rootless Podman keeps its networks in a namespace of its own, and there is no program `podman` "
            "on the PATH to enter it with.",
            remedy="Put it there, or give the pods `hostNetwork: true`.",
        )
    options, variables = _store_options(info)
    kept = {
        name: value for name, value in environment.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    command = (program, *options, "unshare", "--rootless-netns")
    return NamespaceEntry(command=command, environment=kept | variables)


def _store_options(info: EngineInfo) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the options and variables that select this one of the user's Podmans, by its own report.

    This process may have been started without the session's XDG_RUNTIME_DIR, or with another. A Podman with a
    store of its own (``--root``) has a namespace of its own, too, from 5.0 on.
    """
    root, run = (str(info.details.get(key) or "") for key in ("storage_root", "storage_run"))
    runtime = Path(run).parent
    if not root or not run:
        return (), {}
    if Path(run).name == "containers" and (runtime / "libpod").is_dir():
        return (), {"XDG_RUNTIME_DIR": str(runtime)}
    driver = str(info.details.get("storage_driver") or "")
    return ("--root", root, "--runroot", run, *(("--storage-driver", driver) if driver else ())), {}
