"""Memory and CPU limits by control groups, where this user may create them (as a rule: root).

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


def find_controllers(root: str = _ROOT) -> dict[str, str]:
    """Returns the folder to create groups in, by controller (``memory``, ``cpu``); each was tried."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        found = _find_unified(root)
    else:
        found = {
            name: f"{root}/{name}/{_PARENT}" for name in ("memory", "cpu") if os.path.isdir(f"{root}/{name}")
        }
    return {name: folder for name, folder in found.items() if _works(name, folder)}


def _find_unified(root: str) -> dict[str, str]:
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
    name = f"trial-{os.getpid()}-{os.urandom(4).hex()}"
    groups = plan_groups({controller: folder}, name=name, memory=1 << 30, cpus=1.0)
    try:
        create(groups)
    except OSError:
        return False
    finally:
        remove(groups)
    return True


def plan_groups(
    controllers: dict[str, str], *, name: str, memory: int | None, cpus: float | None
) -> list[dict[str, Any]]:
    """Returns the groups of a container: each a ``path`` and the ``files`` to write there, by name.

    Args:
        controllers: result of :func:`find_controllers`.
        name: of the groups; unique.
        memory: limit in bytes.
        cpus: limit in CPUs.
    """
    planned: dict[str, dict[str, str]] = {}
    if memory is not None and "memory" in controllers:
        files = planned.setdefault(f"{controllers['memory']}/{name}", {})
        files["memory.max" if _is_unified(controllers["memory"]) else "memory.limit_in_bytes"] = str(memory)
        if _is_unified(controllers["memory"]):
            files["memory.swap.max"] = "0"
    if cpus is not None and "cpu" in controllers:
        files = planned.setdefault(f"{controllers['cpu']}/{name}", {})
        quota = max(1000, int(cpus * _PERIOD))
        if _is_unified(controllers["cpu"]):
            files["cpu.max"] = f"{quota} {_PERIOD}"
        else:
            files.update({"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)})
    return [{"path": path, "files": files} for path, files in planned.items()]


def _is_unified(folder: str) -> bool:
    return os.path.exists(f"{os.path.dirname(folder)}/cgroup.controllers")


def create(groups: list[dict[str, Any]]) -> None:
    """Creates the groups and sets their limits.

    Raises:
        OSError: the kernel refuses.
    """
    for group in groups:
        os.makedirs(group["path"], exist_ok=True)
        for name, value in group["files"].items():
            path = f"{group['path']}/{name}"
            if name != "memory.swap.max" or os.path.exists(path):  # only where swap is accounted
                _write(path, value)


def enter(groups: list[dict[str, Any]]) -> None:
    """Moves this process into the groups.

    Raises:
        OSError: the kernel refuses.
    """
    for group in groups:
        _write(f"{group['path']}/cgroup.procs", "0")


def is_oom_killed(groups: list[dict[str, Any]]) -> bool:
    """Whether the kernel has killed a process of the groups for memory."""
    for group in groups:
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(f"{group['path']}/{name}", encoding="ascii") as file:
                    counts = dict(line.split() for line in file)
            except OSError:
                continue
            if int(counts.get("oom_kill", "0")) > 0:
                return True
    return False


def remove(groups: list[dict[str, Any]]) -> None:
    """Removes the groups; leaves those that do not exist or still hold a process."""
    for group in groups:
        try:
            os.rmdir(group["path"])
        except OSError:
            pass  # tried again when the container is removed


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
