"""The check of ``reconciler doctor`` of the clock: tokens, certificates, back-off and resumption go by it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check, Machine

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

#: Seconds that files may be ahead of the clock: file systems round, and networks have clocks of their own.
LEEWAY: Final = 300.0
#: Programs that keep a clock right, the units that run them, and what to ask them.
_KEEPERS: Final = (
    ("chronyd", "chrony.service", "chronyd.service", "chronyc tracking"),
    ("ntpd", "ntpsec.service", "ntpd.service", "ntpq -p"),
)
_PACKAGES: Final = {"apt": "chrony", "dnf": "chrony", "zypper": "chrony", "pacman": "chrony"}


def clock_check(settings: Settings, machine: Machine) -> Check:
    """Not before what is on the disk already, and kept right by somebody."""
    name, now = "clock", machine.now()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    newest, path = max(((_made_at(path), path) for path in _witnesses(settings)), default=(0.0, Path()))
    if newest > now + LEEWAY:
        after = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(newest))
        return Check(
            name=name,
            status="fail",
            detail=f"{shown}, but {path} was written on {after}: the clock is behind, or was ahead then",
            remedy=f"Set it ({_keep(machine)}); if it is right, correct the file: touch {path}",
        )
    kept = machine.synchronized()
    if kept is False:
        return Check(
            name=name, status="warn", detail=f"{shown}, kept right by nothing", remedy=_keep(machine)
        )
    return Check(name=name, status="ok", detail=shown + (", synchronized" if kept else ""))


def _witnesses(settings: Settings) -> list[Path]:
    """What was surely written in the past: this program, and what daemons have kept."""
    state = settings.state_dir
    return [Path(__file__), state, state / "records" / settings.instance, state / "locks"]


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _keep(machine: Machine) -> str:
    """How the clock is kept right here."""
    if not machine.has_systemd:
        for program, *_, ask in _KEEPERS:
            if machine.program(program):
                return f"Start {program}, then see `{ask}`; in a container or a guest, on its host."
        return "Have an NTP program keep it; in a container or a guest, on its host."
    for program, *units, ask in _KEEPERS:
        if machine.program(program):
            unit = next((u for u in units if _has_unit(machine, u)), units[0])
            return f"sudo systemctl enable --now {unit}, then see `{ask}`"
    if _has_unit(machine, "systemd-timesyncd.service"):
        return "sudo timedatectl set-ntp true, then see `timedatectl timesync-status`"
    return f"{machine.install(_PACKAGES)}, then see `chronyc tracking`"


def _has_unit(machine: Machine, unit: str) -> bool:
    return any(machine.exists(f"{folder}/systemd/system/{unit}") for folder in ("etc", "usr/lib", "lib"))
