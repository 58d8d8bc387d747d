"""The check of the clock: tokens, certificates, back-off and resumption go by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings

#: Seconds that files may be ahead of the clock: file systems round, and networks have clocks of their own.
LEEWAY: Final = 300.0
#: Programs that synchronize a clock, the units that run them, and the command that shows their state.
_NTP_PROGRAMS: Final = (
    ("chronyd", "chrony.service", "chronyd.service", "chronyc tracking"),
    ("ntpd", "ntpsec.service", "ntpd.service", "ntpq -p"),
)
_PACKAGES: Final = {"apt": "chrony", "dnf": "chrony", "zypper": "chrony", "pacman": "chrony"}


def clock_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks that the clock is not behind files that exist, and that something synchronizes it."""
    name, now = "clock", machine.now()
    shown = _format(now)
    newest, path = max(((_modified_at(path), path) for path in _past_files(settings)), default=(0.0, Path()))
    synchronized = machine.is_clock_synchronized()
    if newest > now + LEEWAY:
        detail = (
            f"{shown}, but {path} was written on {_format(newest)}: the clock is behind, or was ahead then"
        )
        yield fail(
            name, detail, f"Set it ({_ntp_remedy(machine)}); if it is right, correct the file: touch {path}"
        )
    elif synchronized is False:
        yield warn(name, f"{shown}, kept right by nothing", _ntp_remedy(machine))
    else:
        yield ok(name, shown + (", synchronized" if synchronized else ""))


def _format(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _past_files(settings: Settings) -> list[Path]:
    """Files that were surely written in the past: of this program, and those that daemons have kept."""
    state = settings.state_dir
    return [Path(__file__), state, state / "records" / settings.instance, state / "locks"]


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _ntp_remedy(machine: Machine) -> str:
    """How the clock is synchronized on this machine."""
    if not machine.has_systemd:
        for program, *_, show in _NTP_PROGRAMS:
            if machine.find_program(program):
                return f"Start {program}, then see `{show}`; in a container or a guest, on its host."
        return "Have an NTP program keep it; in a container or a guest, on its host."
    for program, *units, show in _NTP_PROGRAMS:
        if machine.find_program(program):
            unit = next((u for u in units if _has_unit(machine, u)), units[0])
            return f"sudo systemctl enable --now {unit}, then see `{show}`"
    if _has_unit(machine, "systemd-timesyncd.service"):
        return "sudo timedatectl set-ntp true, then see `timedatectl timesync-status`"
    return f"{machine.install_command(_PACKAGES)}, then see `chronyc tracking`"


def _has_unit(machine: Machine, unit: str) -> bool:
    return any(machine.exists(f"{folder}/systemd/system/{unit}") for folder in ("etc", "usr/lib", "lib"))
