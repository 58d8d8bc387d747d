"""Reading the configuration again while the daemon runs: what may change, and what wants a restart.

A setting that is not listed here may change: :meth:`reconciler.controller.controller.Work.reconfigure` hands on the
settings as a whole, so a new field needs nothing here unless it is read once, at the start. A file that is
broken changes nothing: the daemon goes on with what it has, and says where the file is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from reconciler.config.options import OPTION
from reconciler.config.settings import Settings

#: Read once, when the daemon starts: where things are, and what they are done with.
FIXED: Final = frozenset(
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
_PLAIN: Final = (bool, int, float, str, tuple, Path)


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """What came of reading the configuration again.

    Attributes:
        settings: to go on with.
        changed: names of settings that are in force now, each ``name: old -> new``.
        refused: those that wait for a restart, likewise.
    """

    settings: Settings
    changed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def reloaded(old: Settings, new: Settings) -> Reloaded:
    """The settings to go on with: the new ones, but for those that cannot change."""
    differing = [f.name for f in fields(Settings) if getattr(old, f.name) != getattr(new, f.name)]
    kept: dict[str, Any] = {name: getattr(old, name) for name in differing if name in FIXED}
    return Reloaded(
        settings=replace(new, **kept),
        changed=tuple(_change(old, new, name) for name in differing if name not in FIXED),
        refused=tuple(_change(old, new, name) for name in kept),
    )


def _change(old: Settings, new: Settings, name: str) -> str:
    flag = OPTION[name].flag if name in OPTION else name
    values = getattr(old, name), getattr(new, name)
    if not all(value is None or isinstance(value, _PLAIN) for value in values):
        # A policy fills pages, and a repository's URL may have a token in it.
        return flag
    return f"{flag}: {_text(values[0])} -> {_text(values[1])}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
