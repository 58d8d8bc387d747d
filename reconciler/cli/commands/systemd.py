"""``reconciler systemd``: installs the daemon as a service of this user, shows its state, uninstalls it.

Every step is printed as it is done, with what undoes it. Nothing here touches jobs, records or logs: a
service that is removed leaves containers running, and one that is installed again finds them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from shlex import quote
from typing import Final

import click

from reconciler.cli import shared_options
from reconciler.cli.output.console import echo
from reconciler.cli.service import unit_files
from reconciler.cli.service.service_manager import ServiceManager
from reconciler.config.settings import Settings, load_settings
from reconciler.errors import ConfigError, ReconcilerError

EPILOG: Final = """\b
Example:
  reconciler systemd install --specs ~/jobs --linger --now
  reconciler systemd install --template --specs ~/jobs --specs ~/more --now
  reconciler systemd install --specs ~/jobs --now -- --engine podman --max-jobs 2
  reconciler systemd install --now -- --git https://git.example.com/team/jobs.git
  reconciler systemd status
  reconciler systemd uninstall"""
LOG_LINES: Final = 5


@click.group(epilog=EPILOG)
def systemd() -> None:
    """Run the daemon as a service of this user (systemd)."""


_specs = click.option(
    "--specs",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Folder of manifests; several with --template.",
)


@systemd.command(epilog=EPILOG)
@_specs
@click.option("--template", is_flag=True, help="One service for each folder: reconciler@FOLDER.service.")
@click.option("--linger", is_flag=True, help="Run it from boot on, without a session of this user.")
@click.option("--now", is_flag=True, help="Start it now as well; one that runs is restarted.")
@click.argument("run_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RUN_OPTIONS...]")
def install(
    *, folders: tuple[Path, ...], template: bool, linger: bool, now: bool, run_options: tuple[str, ...]
) -> None:
    """Write the unit and enable it; print what was done and how to undo it.

    RUN_OPTIONS go into its command line; settings in reconciler.yaml need none. Without --specs, and with
    --git there, it follows the repository.
    """
    manager = ServiceManager()
    manager.require_systemd()
    chosen = _choose_folders(folders, _check_run_options(run_options), template=template)
    if linger:
        _enable_linger(manager)
    manager.require()
    name = unit_files.TEMPLATE if template else unit_files.UNIT
    _write(unit_files.unit_path(name), unit_files.render_unit(name, specs=chosen[0], options=run_options))
    manager.systemctl("daemon-reload")
    _print_step("The service manager has read its units again")
    for folder in chosen:
        if folder is not None and not folder.is_dir():
            folder.mkdir(parents=True)
            _print_step(f"Made the folder {folder}", f"rmdir {quote(str(folder))}")
        unit = manager.instance_for(folder) if template and folder is not None else unit_files.UNIT
        manager.systemctl("enable", unit)
        _print_step(f"Enabled {unit}", f"systemctl --user disable {quote(unit)}")
        if now:
            manager.systemctl("restart", unit)
            _print_step(f"Started {unit}", f"systemctl --user stop {quote(unit)} (jobs go on)")
        else:
            echo(f"Start it with: systemctl --user start {quote(unit)}")
    if not manager.is_lingering():
        echo(
            f"It runs while {manager.user} has a session, and jobs of rootless Podman with it; "
            "--linger (or `loginctl enable-linger`) has it run from boot on."
        )


@systemd.command()
@_specs
def uninstall(*, folders: tuple[Path, ...]) -> None:
    """Stop the service and remove its unit; jobs, records and logs stay.

    Without --specs everything that `install` has put in place.
    """
    manager = ServiceManager()
    manager.require()
    wanted = {_absolute(folder) for folder in folders}
    found = [unit for unit, folder in _list_installed(manager) if not wanted or Path(folder) in wanted]
    if not found:
        raise ReconcilerError(
            "No service is installed" + (f" for {', '.join(map(str, wanted))}." if wanted else "."),
            remedy="`reconciler systemd status` lists the installed ones.",
        )
    for unit in found:
        manager.systemctl("disable", "--now", unit)
        _print_step(f"Stopped and disabled {unit}")
    for name in (unit_files.UNIT, unit_files.TEMPLATE):
        path = unit_files.unit_path(name)
        left = name == unit_files.TEMPLATE and [i for i in manager.list_instances() if i not in found]
        if path.is_file() and not left and (name in found or name == unit_files.TEMPLATE):
            path.unlink()
            _print_step(f"Removed {path}")
    manager.systemctl("daemon-reload")
    if any(_state(manager, unit) == "failed" for unit in found):
        manager.systemctl("reset-failed", *found)
    echo("Containers of running jobs go on; records and logs stay, a new install goes on with them.")
    if manager.is_lingering():
        echo(f"Lingering stays on: loginctl disable-linger {manager.user}")


@systemd.command()
@click.option("--lines", default=LOG_LINES, show_default=True, metavar="NUMBER", help="Of the log.")
def status(*, lines: int) -> int:
    """Show the services: state, what the daemon says, watchdog, linger, the last lines of the log.

    0: all run; 1: one does not, or there is none.
    """
    manager = ServiceManager()
    manager.require()
    installed = _list_installed(manager)
    for number, (unit, folder) in enumerate(installed):
        if number:
            echo()
        _print_status(manager, unit, folder, lines)
    if not installed:
        echo("No service is installed: `reconciler systemd install --specs DIR --now`.")
    running = [unit for unit, _ in installed if _state(manager, unit) == "active"]
    return 0 if installed and len(running) == len(installed) else 1


def _choose_folders(folders: tuple[Path, ...], settings: Settings, *, template: bool) -> list[Path | None]:
    """Returns the folders as absolute paths; None for a repository.

    Raises:
        ConfigError: several without ``--template``; or the unit serves another one.
    """
    chosen: list[Path | None] = [_absolute(folder) for folder in folders]
    if not chosen:
        chosen = [_absolute(Path("specs")) if template or settings.git is None else None]
    several = "For several folders use --template, which has a service for each."
    if template:
        return chosen
    if len(chosen) > 1:
        raise ConfigError(f"{unit_files.UNIT} serves one folder.", remedy=several)
    path = unit_files.unit_path(unit_files.UNIT)
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        if not unit_files.is_generated(text):
            remedy = "Rename it or remove it first; changes to ours belong into a drop-in."
            raise ConfigError(f"{path} was not written by this command.", remedy=remedy)
        if unit_files.parse_specs(text) != str(chosen[0] or ""):
            raise ConfigError(
                f"{unit_files.UNIT} serves {unit_files.parse_specs(text) or 'a repository'} already.",
                remedy=f"{several} Or uninstall it first.",
            )
    return chosen


def _absolute(folder: Path) -> Path:
    # Links are kept: a folder whose target is swapped stays the same instance.
    return Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100


def _check_run_options(run_options: tuple[str, ...]) -> Settings:
    """Returns the settings that `reconciler run` will find; refuses now what it would refuse at its start."""
    from reconciler.cli.commands.run import run  # noqa: PLC0415  (only for an installation)

    with run.make_context("reconciler run", list(run_options)) as context:
        if context.params["once"] or context.params["wait"]:
            raise ConfigError("A service runs until it is stopped.", remedy="Leave out --once and --wait.")
        flags = {name: context.params[name] for name in shared_options.ALL_OPTIONS}
        if flags["specs"]:
            raise ConfigError("The folder is the service's own.", remedy="Name it before the `--`.")
        return load_settings(flags, config_file=context.params["config_file"])


def _enable_linger(manager: ServiceManager) -> None:
    if manager.is_lingering():
        echo(f"Lingering is on for {manager.user} already.")
        return
    manager.enable_linger()
    _print_step(f"Enabled lingering for {manager.user}", f"loginctl disable-linger {manager.user}")
    deadline = time.monotonic() + 30
    bus = Path(f"/run/user/{os.getuid()}/bus")
    while not bus.exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _write(path: Path, text: str) -> None:
    from reconciler.state.atomic_files import write_atomically  # noqa: PLC0415

    write_atomically(path, text.encode())
    _print_step(f"Wrote {path}", "reconciler systemd uninstall")


def _print_step(text: str, undo: str = "") -> None:
    echo(f"{text}. Undo: {undo}" if undo else f"{text}.")


def _list_installed(manager: ServiceManager) -> list[tuple[str, str]]:
    """Returns the units and their folders."""
    found: list[tuple[str, str]] = []
    path = unit_files.unit_path(unit_files.UNIT)
    if path.is_file():
        found.append(
            (unit_files.UNIT, unit_files.parse_specs(path.read_text(encoding="utf-8", errors="replace")))
        )
    return [*found, *((instance, manager.folder_of(instance)) for instance in manager.list_instances())]


def _state(manager: ServiceManager, unit: str) -> str:
    return manager.properties(unit, "ActiveState").get("ActiveState", "")


def _print_status(manager: ServiceManager, unit: str, folder: str, lines: int) -> None:
    now = manager.properties(
        unit, "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "StatusText", "WatchdogUSec",
        "WatchdogTimestampMonotonic", "UnitFileState", "ActiveEnterTimestamp", "NeedDaemonReload",
    )  # fmt: skip
    echo(f"{unit}  {folder}")
    state = f"{now['ActiveState']} ({now['SubState']})"
    if now["ActiveState"] == "active":
        state += f" since {now['ActiveEnterTimestamp']}, pid {now['MainPID']}"
    elif now["Result"] not in {"", "success"}:
        state += f", result {now['Result']}"
    rows = {
        "state": f"{state}; restarted {now['NRestarts']} times",
        "says": now["StatusText"] or "-",
        "watchdog": _describe_watchdog(now["WatchdogUSec"], now["WatchdogTimestampMonotonic"]),
        "at boot": _describe_boot(now["UnitFileState"], manager),
    }
    if now["NeedDaemonReload"] == "yes":
        rows["units"] = "changed on disk: systemctl --user daemon-reload"
    for name, text in rows.items():
        echo(f"  {name:<9}{text}")
    for line in manager.journal(unit, lines):
        echo(f"  | {line}")


def _describe_watchdog(interval: str, last: str) -> str:
    if interval in {"", "0", "infinity"}:
        return "off"
    text = f"restarted after {interval} without a sign of life"
    if last.isdigit() and int(last):
        text += f", the last one {time.monotonic() - int(last) / 1e6:.0f} s ago"
    return text


def _describe_boot(state: str, manager: ServiceManager) -> str:
    if state != "enabled":
        return f"not started ({state or 'not enabled'})"
    return "started" if manager.is_lingering() else f"started when {manager.user} logs in: lingering is off"
