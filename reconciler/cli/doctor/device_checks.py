"""Checks of ``reconciler doctor`` for GPUs: described by CDI as they are now, and open to this user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.doctor.check import Check, Machine, Status
from reconciler.common.yaml_errors import MISFITS

if TYPE_CHECKING:
    from reconciler.engines.protocol import Engine

_MARKERS: Final = {"nvidia.com/gpu": "dev/nvidiactl", "amd.com/gpu": "dev/kfd"}
_TOOLS: Final = {
    "nvidia.com/gpu": ("nvidia-ctk", "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    "amd.com/gpu": ("amd-ctk", "sudo amd-ctk cdi generate --output=/etc/cdi/amd.json"),
}
_PACKAGES: Final = dict.fromkeys(("apt", "dnf", "zypper", "pacman"), "nvidia-container-toolkit")
_FOLDERS: Final = ("etc/cdi", "var/run/cdi")


def device_checks(engine: Engine, machine: Machine) -> Iterator[Check]:
    """GPUs are offered to containers, and what describes them is true."""
    yield offered_check(engine, machine)
    yield specifications_check(machine)
    if machine.uid != 0 and machine.exists("dev/kfd"):
        yield _amd_access(machine)


def offered_check(engine: Engine, machine: Machine) -> Check:
    """GPUs that the machine has are offered to containers."""
    from reconciler.errors import EngineError  # noqa: PLC0415

    name = "GPUs"
    try:
        offered = engine.devices()
    except EngineError as error:
        return Check(name=name, status="warn", detail=error.message, remedy=error.remedy)
    said = ", ".join(f"{kind}: {' '.join(names)}" for kind, names in offered.items() if names)
    described = _described(machine)
    missing = [
        kind
        for kind, path in _MARKERS.items()
        if machine.exists(path)
        and (kind not in described if engine.name == "podman" else not offered.get(kind))
    ]
    if missing:
        status: Status = "fail"
        detail = f"{', '.join(missing)}: the machine has it, no CDI specification describes it"
        return Check(name=name, status=status, detail=detail, remedy=_generate(missing[0], machine))
    return Check(name=name, status="ok", detail=said or "none on this machine")


def _described(machine: Machine) -> set[str]:
    from reconciler.engines.host import cdi  # noqa: PLC0415

    return {device.kind for device in cdi.inventory([machine.path(folder) for folder in _FOLDERS])}


def _generate(kind: str, machine: Machine) -> str:
    program, command = _TOOLS.get(kind, ("", ""))
    if not program:
        return "Generate it anew with its vendor's tool."
    if not machine.program(program) and kind == "nvidia.com/gpu":
        return f"{machine.install(_PACKAGES)} && {command}"
    return command


def specifications_check(machine: Machine) -> Check:
    """CDI specifications can be read and name only what is there: a driver's update leaves stale ones."""
    name = "CDI specifications"
    files = [file for folder in _FOLDERS for file in _files(machine.path(folder))]
    broken, stale = [], {}
    for file in files:
        try:
            spec = _load(file)
        except (OSError, ValueError):
            broken.append(file.name)
            continue
        if gone := [path for path in _host_paths(spec) if not machine.exists(path)]:
            stale[file.name] = (str(spec.get("kind")), gone)
    if broken:
        remedy = f"Generate {broken[0]} anew, or remove it: engines leave out what they cannot read."
        return Check(name=name, status="warn", detail=f"cannot be read: {', '.join(broken)}", remedy=remedy)
    if stale:
        said = "; ".join(
            f"{file} names {gone[0]}" + (f" and {len(gone) - 1} more" if len(gone) > 1 else "")
            for file, (_, gone) in stale.items()
        )
        kind = next(iter(stale.values()))[0]
        detail = f"stale: {said}, which is not on this machine"
        return Check(name=name, status="fail", detail=detail, remedy=_generate(kind, machine))
    return Check(name=name, status="ok", detail=f"{len(files)}, all of what is there" if files else "none")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*") if path.suffix in {".json", ".yaml", ".yml"})
    except OSError:
        return []


def _load(file: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415  (JSON is YAML)

    try:
        spec = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, *MISFITS) as error:
        raise ValueError(str(error)) from error
    if not isinstance(spec, Mapping) or not spec.get("kind"):
        raise ValueError(f"{file} is no CDI specification")
    return spec


def _host_paths(spec: Mapping[str, Any]) -> list[str]:
    edits = [
        spec.get("containerEdits"),
        *(device.get("containerEdits") for device in _dicts(spec.get("devices"))),
    ]
    paths = []
    for edit in _dicts(edits):
        paths += [node.get("hostPath") or node.get("path") for node in _dicts(edit.get("deviceNodes"))]
        paths += [mount.get("hostPath") for mount in _dicts(edit.get("mounts"))]
    return [path for path in dict.fromkeys(paths) if isinstance(path, str)]


def _dicts(value: object) -> Sequence[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def _amd_access(machine: Machine) -> Check:
    name = "access to AMD GPUs"
    if os.access(machine.path("dev/kfd"), os.R_OK | os.W_OK):
        return Check(name=name, status="ok", detail="/dev/kfd is open to this user")
    remedy = f"sudo usermod -aG render,video {machine.user}, then log in anew."
    return Check(name=name, status="fail", detail=f"/dev/kfd is closed to {machine.user}", remedy=remedy)
