"""The settings: one frozen value, merged from flags, variables, ``reconciler.yaml`` and defaults.

A new option is a new field of :class:`Settings`; everything else about it is derived. Merged here rather than
by a settings library: the help shows defaults and must not pay for its import (0.2 s), a fault must name the
flag, the variable or the file's line, and variables are named for flags rather than fields.

What can go wrong: a variable that nearly has an option's name would be ignored in silence, so it is refused.
"""

# ruff: noqa: RUF009  (`option` declares a field, as `dataclasses.field` does)
from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from reconciler.common.unicode_text import escape_bytes, is_unicode
from reconciler.common.xdg_folders import xdg_folder
from reconciler.config.git_urls import GitUrl, parse_path, parse_ref, parse_url
from reconciler.config.options import (
    VARIABLE_PREFIX,
    Option,
    option,
    parse_count,
    parse_endpoint,
    parse_file_path,
    parse_interval,
    parse_label_value,
    parse_networks,
    parse_text,
    parse_texts,
)
from reconciler.config.settings_file import find_settings_file, read_settings_file
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    from reconciler.config.policy import Policy

EngineName = Literal["auto", "docker", "podman", "process"]
PullPolicy = Literal["IfNotPresent", "Always", "Never"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
RestartScope = Literal["container", "gang"]
UpdatePolicy = Literal["Refuse", "Recreate"]

#: Variables of this project that are not options.
_OTHER_VARIABLES: Final = frozenset(
    {"RECONCILER_DEBUG", "RECONCILER_CONFIG", "RECONCILER_GIT_TOKEN", "RECONCILER_GIT_WEBHOOK_SECRET"}
)
#: Stands for "derived from the other settings".
_DERIVED: Final = Path("/derived")

_folder_option = partial(option, parser=parse_file_path, metavar="DIR")
_file_option = partial(option, None, parser=parse_file_path, metavar="FILE")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user has chosen. Comments add to the options' help texts."""

    #: As given; where a repository is followed, the folder within its checkout.
    specs: Path = _folder_option(Path("specs"), "Folder of manifests.")
    engine: EngineName = option(
        "auto",
        "Where containers run; auto tries Docker, then Podman, never process.",
        choices=get_args(EngineName),
        aliases=("container_runtime",),
    )
    #: None: discovered.
    container_host: str | None = option(
        None, "URL of the engine's socket, unix:///run/podman/podman.sock.", parse_text, metavar="URL"
    )
    #: Of containers whose manifest does not say.
    pull_policy: PullPolicy = option("IfNotPresent", "When images are pulled.", choices=get_args(PullPolicy))
    auto_remove: bool = option(True, "Remove the containers and the network of a job that has ended.")
    #: The first source that has a runtime wins.
    runtime_sources: tuple[str, ...] = option(
        (),
        "Where further runtimes come from: a path, file://, http(s)://, github://owner/repo/path.",
        parse_texts,
        flag="runtime-source",
        metavar="URL",
        aliases=("runtime_source", "runtime_sources"),
    )
    #: Sidecars go there in the same tree as the manifests; None: beside them.
    status_dir: Path | None = _folder_option(
        None, "Folder for status files, instead of beside the manifests."
    )
    log_dir: Path = _folder_option(_DERIVED, "Folder for kept logs.", default_text="logs under --state-dir")
    #: Records, locks, generated files.
    state_dir: Path = _folder_option(
        _DERIVED, "Folder for the jobs' records.", default_text="$XDG_STATE_HOME/reconciler"
    )
    resync: float = option(
        30.0, "Time between full comparisons: 30, 30s, 5m.", parse_interval, metavar="TIME"
    )
    #: None: console on a terminal, JSON otherwise.
    log_format: LogFormat | None = option(
        None, "Form of the log; console on a terminal, else json.", choices=get_args(LogFormat)
    )
    log_level: LogLevel = option("info", "Least severity that is logged.", choices=get_args(LogLevel))
    #: A job's annotation wins; likewise for the update policy.
    restart_scope: RestartScope = option(
        "container", "What a failing container restarts.", choices=get_args(RestartScope)
    )
    update_policy: UpdatePolicy = option(
        "Refuse", "What a change of an immutable field does.", choices=get_args(UpdatePolicy)
    )
    #: Off: an empty folder means that somebody unmounted it.
    allow_empty: bool = option(False, "An empty folder removes every job.")
    preempt: bool = option(False, "A job may suspend running ones of lower priority to make room.")
    stop_jobs_on_exit: bool = option(
        False, "Stop the jobs' containers when the daemon ends; they go on when it runs again."
    )
    #: None: as many as the host's resources admit.
    max_jobs: int | None = option(None, "Jobs that may run at once.", parse_count, metavar="NUMBER")
    #: Empty: the engine's default.
    address_pool: tuple[str, ...] = option(
        (), "CIDR ranges that Docker networks are cut from.", parse_networks, metavar="CIDR"
    )
    #: See :func:`derive_instance` and :func:`derive_git_instance`.
    instance: str = option(
        "",
        "Value of the instance label of everything created; derived from the folder's path.",
        parse_label_value,
        metavar="NAME",
    )
    #: ``specs`` and, unless given, ``status_dir`` are then below ``state_dir``.
    git: GitUrl | None = option(
        None,
        "Follow this git repository instead of a folder: https, ssh, file, or a local path.",
        lambda value: parse_url(parse_text(value).strip()),
        metavar="URL",
        aliases=("git_url",),
    )
    git_ref: str = option(
        "HEAD",
        "Branch, tag or commit to follow; default: the repository's HEAD.",
        lambda value: parse_ref(parse_text(value).strip()),
        flag="ref",
        metavar="REF",
    )
    git_path: str = option(
        "",
        "Folder of the repository that holds the manifests; default: all of it.",
        lambda value: parse_path(parse_text(value).strip()),
        flag="path",
        metavar="PATH",
    )
    git_interval: float = option(
        60.0,
        "Time between checks of the repository: 60, 60s, 5m.",
        parse_interval,
        flag="interval",
        metavar="TIME",
    )
    git_verify: bool = option(False, "Take only commits signed by an allowed signer.")
    git_allowed_signers: Path | None = _file_option(
        "SSH keys that may sign commits, as ssh-keygen's ALLOWED SIGNERS file has them."
    )
    git_gpg_keys: Path | None = _file_option(
        "OpenPGP public keys that may sign commits, as `gpg --export` writes them."
    )
    git_ssh_key: Path | None = _file_option(
        "Private key for ssh; default: the systemd credential git-ssh-key, else the user's own."
    )
    git_known_hosts: Path | None = _file_option(
        "Host keys for ssh; default: the systemd credential git-known-hosts, else the user's own."
    )
    git_token_file: Path | None = _file_option(
        "File with a token for https; default: the systemd credential git-token, RECONCILER_GIT_TOKEN."
    )
    git_user: str = option(
        "",
        "User name that goes with the token, where the server wants a certain one.",
        parse_text,
        metavar="NAME",
    )
    #: Empty: none.
    git_webhook: str = option(
        "",
        "Where the git server may call after a push (POST /hook): 127.0.0.1:9444.",
        parse_endpoint,
        metavar="HOST:PORT",
    )
    git_webhook_secret_file: Path | None = _file_option(
        "File with the webhook's secret; default: the systemd credential git-webhook-secret."
    )
    #: What manifests may ask for; None: the defaults, which deny what gives the host away.
    policy: Policy | None = None
    #: The ``reconciler.yaml`` in force, as an absolute path; None: there is none.
    config_file: Path | None = None
    #: A list of host paths that the user's own client has named; None: a daemon, whose policy alone decides.
    grants: Path | None = None

    def __post_init__(self) -> None:
        if self.state_dir == _DERIVED:
            object.__setattr__(self, "state_dir", xdg_folder("XDG_STATE_HOME", ".local/state") / "reconciler")
        if self.log_dir == _DERIVED:
            object.__setattr__(self, "log_dir", self.state_dir / "logs")
        if not self.instance:
            git = self.git
            instance = derive_instance(self.specs) if git is None else derive_git_instance(git, self.git_path)
            object.__setattr__(self, "instance", instance)
        if (folder := self.git_folder) is not None:
            object.__setattr__(self, "specs", folder / "current" / self.git_path)
            if self.status_dir is None:
                object.__setattr__(self, "status_dir", folder / "status")

    @property
    def git_folder(self) -> Path | None:
        """Where mirror, checkouts and statuses of the followed repository are; None for a plain folder."""
        return self.state_dir.absolute() / "git" / self.instance if self.git is not None else None


OPTIONS: Final = tuple(
    Option(
        **{**f.metadata, "flag": f.metadata["flag"] or f.name.replace("_", "-")},
        name=f.name,
        default=f.default,
    )
    for f in fields(Settings)
    if f.metadata
)
OPTION: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}


def load_settings(flags: Mapping[str, Any], *, config_file: Path | None = None) -> Settings:
    """Merges flag, ``RECONCILER_*`` variable, ``reconciler.yaml`` and default; the first that is given wins.

    Args:
        flags: field name to text or value; None (and an empty tuple) means not given.
        config_file: read this file and no other; it must exist.

    Raises:
        ConfigError: naming the flag, the variable, or file and line, and what may have been meant.
    """
    values: dict[str, Any] = {}
    if (file := find_settings_file(config_file)) is not None:
        _overlay(values, read_settings_file(file, OPTIONS), "reconciler.yaml")
        values["config_file"] = file.absolute()
    _overlay(values, _read_environment(), "the environment")
    given = {name: raw for name, raw in flags.items() if raw is not None and raw != ()}
    parsed = {name: OPTION[name].parse_at(f"--{OPTION[name].flag}", raw) for name, raw in given.items()}
    _overlay(values, parsed, "the command line")
    settings = Settings(**values)
    _require_unicode_paths(settings)
    return settings


def _require_unicode_paths(settings: Settings) -> None:
    """Raises ConfigError where a path, also by the folder that it is taken from, is no UTF-8 text.

    Paths stand in records and statuses, which are text.
    """
    for setting in fields(settings):
        path = getattr(settings, setting.name)
        if not isinstance(path, Path):
            continue
        with suppress(FileNotFoundError):  # of the current folder
            path = path.absolute()
        if not is_unicode(str(path)):
            raise ConfigError(
                f"{setting.name}: the name of {escape_bytes(str(path))} is not UTF-8 text.",
                remedy="Rename the folder, or name another one.",
            )


def _overlay(values: dict[str, Any], stronger: Mapping[str, Any], where: str) -> None:
    """Lets the stronger values win; a folder named there replaces a repository named before, and vice versa.

    Raises:
        ConfigError: a folder and a repository are named in one place.
    """
    if "git" in stronger and "specs" in stronger:
        raise ConfigError(
            f"Both a folder (specs) and a repository (git) are given in {where}.",
            remedy="Keep one: --path names the folder within a repository.",
        )
    if "specs" in stronger:
        values.pop("git", None)
    values |= stronger


def _read_environment() -> dict[str, Any]:
    known = {option.variable: option for option in OPTIONS}
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES or not text:
            continue
        option = known.get(variable)
        if option is not None:
            values[option.name] = option.parse_at(variable, text)
        elif near := difflib.get_close_matches(variable, known, n=1, cutoff=0.9):
            # Other programs may use the prefix; a near miss is taken for a misspelling.
            raise ConfigError(f"{variable} is not a setting.", remedy=f"Did you mean {near[0]}?")
    return values


def derive_instance(specs: Path) -> str:
    """Returns the first 12 hex digits of the SHA-256 of the folder's absolute path.

    Symlinks are not resolved: a folder whose target is swapped (git-sync) stays the same instance.
    """
    return hashlib.sha256(os.fsencode(os.path.abspath(specs))).hexdigest()[:12]  # noqa: PTH100  (no symlinks)


def derive_git_instance(url: GitUrl, path: str) -> str:
    """Returns the same for a folder of a repository, whatever revision or ref of it is followed."""
    return hashlib.sha256(f"git\n{url.location}\n{path}".encode()).hexdigest()[:12]
