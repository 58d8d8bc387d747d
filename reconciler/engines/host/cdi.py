"""The Container Device Interface's inventory: which devices a container can be given by name.

Read from the same folders as the engines do (https://github.com/cncf-tags/container-device-interface).
An engine on another host has its own; then nothing is found here, and the engine decides.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.common.yaml_errors import MISFITS
from reconciler.errors import StartFailed

FOLDERS: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))

NVIDIA: Final = "nvidia.com/gpu"
AMD: Final = "amd.com/gpu"

_AMD_VENDOR: Final = "0x1002"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CdiDevice:
    """A device of the inventory; ``nodes`` are the paths it adds to a container's ``/dev``."""

    kind: str
    name: str
    nodes: tuple[str, ...]


def inventory(folders: Sequence[Path] = FOLDERS) -> list[CdiDevice]:
    """Every device in the folders' specs; an unreadable spec is skipped, as the engines do."""
    devices: list[CdiDevice] = []
    for spec in _specs(folders):
        common = _nodes(spec.get("containerEdits"))
        for device in spec.get("devices") or ():
            nodes = common + _nodes(device.get("containerEdits"))
            devices.append(CdiDevice(kind=str(spec["kind"]), name=str(device["name"]), nodes=nodes))
    return devices


def _specs(folders: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    for folder in folders:
        for path in sorted(folder.glob("*")):
            if path.suffix not in {".json", ".yaml", ".yml"}:
                continue
            try:
                text = path.read_text()
                spec = json.loads(text) if path.suffix == ".json" else _yaml(text)
            except (OSError, ValueError) as error:
                log.warning("skipped the CDI spec %s: %s", path, error)
                continue
            if isinstance(spec, dict) and spec.get("kind"):
                yield spec


def _yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415  (late: most hosts have no YAML spec)

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *MISFITS) as error:
        raise ValueError(str(error)) from error


def _nodes(edits: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(str(node["path"]) for node in (edits or {}).get("deviceNodes") or ())


def offered(devices: Sequence[CdiDevice]) -> dict[str, tuple[str, ...]]:
    """Names by class, each device once.

    ``all`` is every device under one name. nvidia-ctk can list each GPU by index and by UUID as well; then
    the indexes count.
    """
    classes: dict[str, list[str]] = {}
    for device in devices:
        names = classes.setdefault(device.kind, [])
        if device.name != "all" and device.name not in names:
            names.append(device.name)
    return {kind: _once(names) for kind, names in classes.items() if names}


def _once(names: Sequence[str]) -> tuple[str, ...]:
    indexed = [name for name in names if name.replace(":", "").isdigit()]
    return tuple(sorted(indexed or names, key=_order))


def _order(name: str) -> tuple[int, ...] | tuple[float, str]:
    parts = name.split(":")
    if all(part.isdigit() for part in parts):
        return tuple(int(part) for part in parts)
    return (float("inf"), name)


def host_devices(folders: Sequence[Path] = FOLDERS) -> dict[str, tuple[str, ...]]:
    """Device classes of this host: CDI's inventory, and GPUs that no spec describes."""
    found = offered(inventory(folders))
    for kind, look in ((NVIDIA, nvidia_gpus), (AMD, amd_gpus)):
        if kind not in found and (names := look()):
            found[kind] = names
    return found


def nvidia_gpus() -> tuple[str, ...]:
    """Indexes of the GPUs that ``nvidia-smi`` lists; none without it."""
    command = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in result.stdout.splitlines() if line.strip().isdigit())


def amd_gpus() -> tuple[str, ...]:
    """Indexes of AMD's compute GPUs: ``/dev/dri`` render nodes of that vendor, in order."""
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


def amd_nodes(container: str, names: Sequence[str]) -> list[str]:
    """The device nodes that give a container these AMD GPUs, where no CDI spec does.

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
