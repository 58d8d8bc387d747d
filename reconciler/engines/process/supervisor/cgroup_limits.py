"""Memory and CPU limits by control groups, where this user may make them (as a rule: root).

Other ways to limit memory (``RLIMIT_AS``) count address space, of which torch reserves far more than it uses:
without control groups the limit is not enforced, and ``limitations`` says so.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROOT = "/sys/fs/cgroup"
_PERIOD = 100_000
_PARENT = "reconciler"


def offers(root: str = _ROOT) -> dict[str, str]:
    """Folders in which groups can be made, by controller (``memory``, ``cpu``); tried, not guessed."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        found = _unified(root)
    else:
        found = {
            name: f"{root}/{name}/{_PARENT}" for name in ("memory", "cpu") if os.path.isdir(f"{root}/{name}")
        }
    return {name: folder for name, folder in found.items() if _works(name, folder)}


def _unified(root: str) -> dict[str, str]:
    folder = f"{root}/{_PARENT}"
    try:
        with open(f"{root}/cgroup.subtree_control", encoding="ascii") as file:
            enabled = file.read().split()
        given = [name for name in ("memory", "cpu") if name in enabled]
        os.makedirs(folder, exist_ok=True)
        _write(f"{folder}/cgroup.subtree_control", " ".join(f"+{name}" for name in given))
    except OSError:
        return {}
    return dict.fromkeys(given, folder)


def _works(controller: str, folder: str) -> bool:
    trial = f"{folder}/trial-{os.getpid()}-{os.urandom(4).hex()}"
    group = groups({controller: folder}, name=os.path.basename(trial), memory=1 << 30, cpus=1.0)
    try:
        prepare(group)
    except OSError:
        return False
    finally:
        remove(group)
    return True


def groups(
    offered: dict[str, str], *, name: str, memory: int | None, cpus: float | None
) -> list[dict[str, Any]]:
    """The groups of a container: each a ``path`` and the ``files`` to write there, by name.

    Args:
        offered: what :func:`offers` found.
        name: of the groups; unique.
        memory: limit in bytes.
        cpus: limit in CPUs.
    """
    made: dict[str, dict[str, str]] = {}
    if memory is not None and "memory" in offered:
        files = made.setdefault(f"{offered['memory']}/{name}", {})
        files["memory.max" if _is_unified(offered["memory"]) else "memory.limit_in_bytes"] = str(memory)
        if _is_unified(offered["memory"]):
            files["memory.swap.max"] = "0"
    if cpus is not None and "cpu" in offered:
        files = made.setdefault(f"{offered['cpu']}/{name}", {})
        quota = max(1000, int(cpus * _PERIOD))
        if _is_unified(offered["cpu"]):
            files["cpu.max"] = f"{quota} {_PERIOD}"
        else:
            files.update({"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)})
    return [{"path": path, "files": files} for path, files in made.items()]


def _is_unified(folder: str) -> bool:
    return os.path.exists(f"{os.path.dirname(folder)}/cgroup.controllers")


def prepare(made: list[dict[str, Any]]) -> None:
    """Make the groups and set their limits.

    Raises:
        OSError: the kernel refuses.
    """
    for group in made:
        os.makedirs(group["path"], exist_ok=True)
        for name, value in group["files"].items():
            path = f"{group['path']}/{name}"
            if name != "memory.swap.max" or os.path.exists(path):  # only where swap is accounted
                _write(path, value)


def enter(made: list[dict[str, Any]]) -> None:
    """Move this process into the groups.

    Raises:
        OSError: the kernel refuses.
    """
    for group in made:
        _write(f"{group['path']}/cgroup.procs", "0")


def out_of_memory(made: list[dict[str, Any]]) -> bool:
    """Whether the kernel has killed a process of the groups for memory."""
    for group in made:
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(f"{group['path']}/{name}", encoding="ascii") as file:
                    counts = dict(line.split() for line in file)
            except OSError:
                continue
            if int(counts.get("oom_kill", "0")) > 0:
                return True
    return False


def remove(made: list[dict[str, Any]]) -> None:
    """Remove the groups; those that are not there, or still hold a process, are left."""
    for group in made:
        try:
            os.rmdir(group["path"])
        except OSError:
            pass  # tried again when the container is removed


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
