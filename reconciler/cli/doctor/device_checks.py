"""Checks of GPUs: they are described by CDI as they are now, and open to this user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.machine import Machine
from reconciler.common.regular_files import read_regular_text
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS
from reconciler.engines.host import cdi
from reconciler.engines.protocol import Engine
from reconciler.errors import EngineError
from reconciler.state.sidecar_reader import mappings_in

#: Device nodes by which a GPU's class is recognized.
_DEVICE_NODES: Final = {"nvidia.com/gpu": "dev/nvidiactl", "amd.com/gpu": "dev/kfd"}
_CDI_TOOLS: Final = {
    "nvidia.com/gpu": ("nvidia-ctk", "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    "amd.com/gpu": ("amd-ctk", "sudo amd-ctk cdi generate --output=/etc/cdi/amd.json"),
}
_PACKAGES: Final = dict.fromkeys(("apt", "dnf", "zypper", "pacman"), "nvidia-container-toolkit")


def device_checks(engine: Engine, machine: Machine) -> Iterator[Check]:
    """Checks that the machine's GPUs can be given to containers."""
    yield check_gpus(engine, machine)
    yield check_cdi_specifications(machine)
    if machine.uid != 0 and machine.exists("dev/kfd"):
        yield _check_amd_access(machine)


def check_gpus(engine: Engine, machine: Machine) -> Check:
    """Checks that GPUs of the machine are offered to containers."""
    name = "GPUs"
    try:
        offered = engine.devices()
    except EngineError as error:
        return warn(name, error.message, error.remedy)
    known = (
        _kinds_in_cdi(machine)
        if engine.name == "podman"
        else {kind for kind, names in offered.items() if names}
    )
    missing = [kind for kind, node in _DEVICE_NODES.items() if machine.exists(node) and kind not in known]
    if missing:
        detail = f"{', '.join(missing)}: the machine has it, no CDI specification describes it"
        return fail(name, detail, _generate_command(missing[0], machine))
    listed = ", ".join(f"{kind}: {' '.join(names)}" for kind, names in offered.items() if names)
    return ok(name, listed or "none on this machine")


def _kinds_in_cdi(machine: Machine) -> set[str]:
    return {device.kind for device in cdi.read_inventory(_cdi_folders(machine))}


def _cdi_folders(machine: Machine) -> list[Path]:
    return [machine.path(str(folder)) for folder in cdi.FOLDERS]


def _generate_command(kind: str, machine: Machine) -> str:
    program, command = _CDI_TOOLS.get(kind, ("", ""))
    if not program:
        return "Generate it again with its vendor's tool."
    if not machine.find_program(program) and kind == "nvidia.com/gpu":
        return f"{machine.install_command(_PACKAGES)} && {command}"
    return command


def check_cdi_specifications(machine: Machine) -> Check:
    """Checks that CDI specifications can be read and name what exists: driver updates leave stale ones."""
    name = "CDI specifications"
    files = cdi.list_specs(_cdi_folders(machine))
    broken: list[str] = []
    stale: dict[str, tuple[str, list[str]]] = {}
    for file in files:
        try:
            spec = _load(file)
        except (OSError, ValueError):
            broken.append(file.name)
            continue
        if missing := [path for path in _host_paths(spec) if not machine.exists(path)]:
            stale[file.name] = (str(spec.get("kind")), missing)
    if broken:
        remedy = f"Generate {broken[0]} again, or remove it: engines leave out what they cannot read."
        return warn(name, f"cannot be read: {', '.join(broken)}", remedy)
    if stale:
        listed = "; ".join(
            f"{file} names {missing[0]}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            for file, (_, missing) in stale.items()
        )
        kind = next(iter(stale.values()))[0]
        return fail(name, f"stale: {listed}, which is not on this machine", _generate_command(kind, machine))
    return ok(name, f"{len(files)}, all of what is there" if files else "none")


def _load(file: Path) -> Mapping[str, Any]:
    try:
        spec = yaml.safe_load(read_regular_text(file))  # JSON is YAML
    except (yaml.YAMLError, *YAML_VALUE_ERRORS) as error:
        raise ValueError(str(error)) from error
    if not isinstance(spec, Mapping) or not spec.get("kind"):
        raise ValueError(f"{file} is no CDI specification")
    return spec


def _host_paths(spec: Mapping[str, Any]) -> list[str]:
    edits = [
        spec.get("containerEdits"),
        *(device.get("containerEdits") for device in mappings_in(spec.get("devices"))),
    ]
    paths = []
    for edit in mappings_in(edits):
        paths += [node.get("hostPath") or node.get("path") for node in mappings_in(edit.get("deviceNodes"))]
        paths += [mount.get("hostPath") for mount in mappings_in(edit.get("mounts"))]
    return [path for path in dict.fromkeys(paths) if isinstance(path, str)]


def _check_amd_access(machine: Machine) -> Check:
    name = "access to AMD GPUs"
    if os.access(machine.path("dev/kfd"), os.R_OK | os.W_OK):
        return ok(name, "/dev/kfd is open to this user")
    remedy = f"sudo usermod -aG render,video {machine.user}, then log in again."
    return fail(name, f"/dev/kfd is closed to {machine.user}", remedy)
