"""GPUs and other devices of this host: CDI's inventory, ``nvidia-smi``, and AMD's render nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.engines.host import cdi
from reconciler.errors import StartFailed

NVIDIA: Final = "nvidia.com/gpu"
AMD: Final = "amd.com/gpu"

_AMD_VENDOR: Final = "0x1002"


def list_devices(folders: Sequence[Path] = cdi.FOLDERS) -> dict[str, tuple[str, ...]]:
    """Returns this host's devices by class: CDI's inventory, and GPUs that no spec describes."""
    found = cdi.group_by_kind(cdi.read_inventory(folders))
    for kind, list_gpus in ((NVIDIA, nvidia_gpus), (AMD, amd_gpus)):
        if kind not in found and (names := list_gpus()):
            found[kind] = names
    return found


def nvidia_gpus() -> tuple[str, ...]:
    """Returns the indexes of the GPUs that ``nvidia-smi`` lists; none without it."""
    command = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in result.stdout.splitlines() if line.strip().isdigit())


def amd_gpus() -> tuple[str, ...]:
    """Returns the indexes of AMD's compute GPUs: ``/dev/dri`` render nodes of that vendor, in order."""
    return tuple(str(index) for index in range(len(_amd_render_nodes())))


def _amd_render_nodes() -> list[str]:
    if not Path("/dev/kfd").exists():
        return []
    nodes = []
    for entry in sorted(Path("/sys/class/drm").glob("renderD*"), key=lambda path: path.name):
        try:
            vendor = (entry / "device" / "vendor").read_text().strip()
        except OSError:
            continue
        if vendor == _AMD_VENDOR:
            nodes.append(f"/dev/dri/{entry.name}")
    return nodes


def amd_device_nodes(container: str, names: Sequence[str]) -> list[str]:
    """Returns the device nodes that give a container these AMD GPUs, where no CDI spec does.

    Raises:
        StartFailed: there is no such GPU here.
    """
    nodes = _amd_render_nodes()
    try:
        return ["/dev/kfd", *(nodes[int(name)] for name in names)]
    except (IndexError, ValueError):
        raise StartFailed(
            f"Container {container} cannot be given its GPU: this host has no AMD GPU {', '.join(names)}."
        ) from None
