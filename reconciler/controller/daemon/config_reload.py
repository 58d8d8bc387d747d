"""The configuration read again while the daemon runs: which settings may change, and which need a restart.

A setting that is not listed here may change: :meth:`reconciler.controller.controller.Controller.reconfigure`
passes the settings on as a whole, so a new field needs nothing here unless it is read once, at the start. A
file that is broken changes nothing: the daemon goes on with the settings it has, and says where the file is
wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from reconciler.config.settings import OPTION, Settings

#: Read once, when the daemon starts: where things are, and what they are done with.
FIXED_SETTINGS: Final = frozenset(
    {
        "specs",
        "engine",
        "container_host",
        "status_dir",
        "log_dir",
        "state_dir",
        "address_pool",
        "instance",
        "git",
        "git_ref",
        "git_path",
        "git_interval",
        "git_verify",
        "git_allowed_signers",
        "git_gpg_keys",
        "git_ssh_key",
        "git_known_hosts",
        "git_token_file",
        "git_user",
        "git_webhook",
        "git_webhook_secret_file",
    }
)
_SHOWN_TYPES: Final = (bool, int, float, str, tuple, Path)


@dataclass(frozen=True, kw_only=True)
class ReloadResult:
    """What reading the configuration again has changed.

    Attributes:
        settings: in force from now on.
        changed: names of the settings that changed, each ``name: old -> new``.
        need_restart: those that change with a restart only, likewise.
    """

    settings: Settings
    changed: tuple[str, ...] = ()
    need_restart: tuple[str, ...] = ()


def merge_settings(old: Settings, new: Settings) -> ReloadResult:
    """The new settings, with the old values of those that need a restart."""
    differing = [f.name for f in fields(Settings) if getattr(old, f.name) != getattr(new, f.name)]
    kept: dict[str, Any] = {name: getattr(old, name) for name in differing if name in FIXED_SETTINGS}
    return ReloadResult(
        settings=replace(new, **kept),
        changed=tuple(_describe(old, new, name) for name in differing if name not in FIXED_SETTINGS),
        need_restart=tuple(_describe(old, new, name) for name in kept),
    )


def _describe(old: Settings, new: Settings, name: str) -> str:
    flag = OPTION[name].flag if name in OPTION else name
    values = getattr(old, name), getattr(new, name)
    if not all(value is None or isinstance(value, _SHOWN_TYPES) for value in values):
        # A policy fills pages, and a repository's URL may have a token in it.
        return flag
    return f"{flag}: {_text(values[0])} -> {_text(values[1])}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
