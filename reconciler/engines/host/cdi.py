"""The Container Device Interface's inventory: which devices a container can be given by name.

Read from the same folders as the engines do (https://github.com/cncf-tags/container-device-interface).
An engine on another host has its own; then nothing is found here, and the engine decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.common.regular_files import read_regular_text
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS

FOLDERS: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CdiDevice:
    """A device of the inventory; ``nodes`` are the paths it adds to a container's ``/dev``."""

    kind: str
    name: str
    nodes: tuple[str, ...]


def read_inventory(folders: Sequence[Path] = FOLDERS) -> list[CdiDevice]:
    """Returns every device in the folders' specs; an unreadable spec is skipped, as the engines do."""
    devices: list[CdiDevice] = []
    for spec in _specs(folders):
        common = _nodes(spec.get("containerEdits"))
        for device in spec.get("devices") or ():
            nodes = common + _nodes(device.get("containerEdits"))
            devices.append(CdiDevice(kind=str(spec["kind"]), name=str(device["name"]), nodes=nodes))
    return devices


def list_specs(folders: Sequence[Path]) -> list[Path]:
    """Returns the files of the folders that engines take for specs; a folder that cannot be read has none."""
    files: list[Path] = []
    for folder in folders:
        try:
            files += sorted(path for path in folder.glob("*") if path.suffix in {".json", ".yaml", ".yml"})
        except OSError as error:
            _log.warning("CDI folder skipped path=%s error=%s", folder, error)
    return files


def _specs(folders: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    for path in list_specs(folders):
        try:
            text = read_regular_text(path)
            spec = json.loads(text) if path.suffix == ".json" else _parse_yaml(text)
        except (OSError, ValueError) as error:
            _log.warning("CDI spec skipped path=%s error=%s", path, error)
            continue
        if isinstance(spec, dict) and spec.get("kind"):
            yield spec


def _parse_yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415  (late: most hosts have no YAML spec)

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *YAML_VALUE_ERRORS) as error:
        raise ValueError(str(error)) from error


def _nodes(edits: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(str(node["path"]) for node in (edits or {}).get("deviceNodes") or ())


def group_by_kind(devices: Sequence[CdiDevice]) -> dict[str, tuple[str, ...]]:
    """Returns the devices' names by kind, each device once.

    ``all`` is every device under one name. nvidia-ctk can list each GPU by index and by UUID as well; then
    the indexes count.
    """
    kinds: dict[str, list[str]] = {}
    for device in devices:
        names = kinds.setdefault(device.kind, [])
        if device.name != "all" and device.name not in names:
            names.append(device.name)
    return {kind: _once_each(names) for kind, names in kinds.items() if names}


def _once_each(names: Sequence[str]) -> tuple[str, ...]:
    indexed = [name for name in names if name.replace(":", "").isdigit()]
    return tuple(sorted(indexed or names, key=_sort_key))


def _sort_key(name: str) -> tuple[int, ...] | tuple[float, str]:
    parts = name.split(":")
    if all(part.isdigit() for part in parts):
        return tuple(int(part) for part in parts)
    return (float("inf"), name)
