"""Settings: one frozen value, made from flags, environment variables, ``reconciler.yaml`` and defaults.

Every option is one row of :data:`reconciler.config.options.OPTIONS`; flags, variable names, the file's keys and
the messages are derived from it, so that they cannot differ. The merge is written by hand because
``--help`` may not pay for a settings library (0.2 s), and because a fault must name the file and line, the
variable or the flag that is wrong.

What can go wrong: a relative path means something else in another folder, so paths in the file are taken
from the file's own folder; and a variable that nearly has an option's name would be ignored in silence, so
it is refused.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from reconciler.common.yaml_errors import MISFIT, MISFITS
from reconciler.config.git_urls import GitUrl, redact
from reconciler.config.options import OPTION, OPTIONS, VARIABLE_PREFIX, Option, did_you_mean
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    import yaml

    from reconciler.config.policy import Policy

EngineName = Literal["auto", "docker", "podman", "process"]
PullPolicy = Literal["IfNotPresent", "Always", "Never"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
RestartScope = Literal["container", "gang"]
UpdatePolicy = Literal["Refuse", "Recreate"]

FILE_NAME: Final = "reconciler.yaml"
#: The top-level key of ``reconciler.yaml`` that is no option: what manifests may ask for.
POLICY_KEY: Final = "policy"
#: Variables of this project that are no option.
OTHER_VARIABLES: Final = frozenset(
    {"RECONCILER_DEBUG", "RECONCILER_CONFIG", "RECONCILER_GIT_TOKEN", "RECONCILER_GIT_WEBHOOK_SECRET"}
)
#: Stands for "derived from the other settings".
_DERIVED: Final = Path("/derived")


#: Defaults that no value of :class:`Settings` says.
_DEFAULTS_IN_WORDS: Final[Mapping[str, str]] = {
    "log_dir": "logs under --state-dir",
    "state_dir": "$XDG_STATE_HOME/reconciler",
}


def xdg_folder(variable: str, fallback: str, environ: Mapping[str, str] | None = None) -> Path:
    """An XDG base folder; a relative value is ignored, as the XDG specification says.

    Args:
        variable: ``XDG_STATE_HOME`` and the like.
        fallback: below the home folder, ``.local/state``.
        environ: the process's own when None.
    """
    environ = os.environ if environ is None else environ
    value = environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    home = environ.get("HOME", "")
    return (Path(home) if home else Path.home()) / fallback


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user has chosen.

    Attributes:
        specs: the folder of manifests, as given.
        container_host: URL of the engine's socket; None: discovered.
        pull_policy: for containers whose manifest does not say.
        auto_remove: remove containers and network of a job that has ended.
        runtime_sources: where further runtimes come from, the first wins.
        status_dir: where sidecars go, in the same tree as the manifests; None: beside them.
        log_dir: kept logs; ``logs`` under ``state_dir`` unless given.
        state_dir: records, lock, generated files; ``$XDG_STATE_HOME/reconciler`` unless given.
        resync: seconds between full rescans.
        log_format: None: console on a terminal, JSON otherwise.
        restart_scope: what a failing container restarts, unless the job's annotation says.
        update_policy: what a change of an immutable field does, unless the job's annotation says.
        allow_empty: an empty folder means "remove everything" instead of "somebody unmounted it".
        preempt: a job may have running ones of lower priority suspended to make room.
        stop_jobs_on_exit: stop the jobs' containers when the daemon ends; they go on under the next one.
        max_jobs: how many jobs may run at once; None: as many as the host's resources admit.
        address_pool: CIDR ranges that Docker networks are cut from; empty: the engine's default.
        instance: owner's mark on everything made; derived from the absolute path of ``specs`` unless given,
            of a repository from its URL and path, so that it stays the same over revisions.
        git: repository to follow; ``specs`` and, unless given, ``status_dir`` are then below ``state_dir``.
        git_ref: branch, tag, full ref or commit.
        git_path: folder of the repository, "" for all of it.
        git_interval: seconds between looks at the repository.
        git_verify: take only commits signed by ``git_allowed_signers`` or ``git_gpg_keys``.
        git_ssh_key: file; like ``git_known_hosts`` and ``git_token_file`` looked for among systemd's
            credentials unless given.
        git_user: user name that goes with the token.
        git_webhook: address and port for the git server's calls; "" for none.
        policy: what manifests may ask for; None: the defaults, which deny what gives the host away.
        config_file: the ``reconciler.yaml`` in force, as an absolute path; None: there is none.
        grants: a list of host paths that the user's own client has named; None: a daemon, whose policy
            alone decides.
    """

    specs: Path = Path("specs")
    engine: EngineName = "auto"
    container_host: str | None = None
    pull_policy: PullPolicy = "IfNotPresent"
    auto_remove: bool = True
    runtime_sources: tuple[str, ...] = ()
    status_dir: Path | None = None
    log_dir: Path = _DERIVED
    state_dir: Path = _DERIVED
    resync: float = 30.0
    log_format: LogFormat | None = None
    log_level: LogLevel = "info"
    restart_scope: RestartScope = "container"
    update_policy: UpdatePolicy = "Refuse"
    allow_empty: bool = False
    preempt: bool = False
    stop_jobs_on_exit: bool = False
    max_jobs: int | None = None
    address_pool: tuple[str, ...] = ()
    instance: str = ""
    git: GitUrl | None = None
    git_ref: str = "HEAD"
    git_path: str = ""
    git_interval: float = 60.0
    git_verify: bool = False
    git_allowed_signers: Path | None = None
    git_gpg_keys: Path | None = None
    git_ssh_key: Path | None = None
    git_known_hosts: Path | None = None
    git_token_file: Path | None = None
    git_user: str = ""
    git_webhook: str = ""
    git_webhook_secret_file: Path | None = None
    policy: Policy | None = None
    config_file: Path | None = None
    grants: Path | None = None

    def __post_init__(self) -> None:
        if self.state_dir == _DERIVED:
            object.__setattr__(self, "state_dir", xdg_folder("XDG_STATE_HOME", ".local/state") / "reconciler")
        if self.log_dir == _DERIVED:
            object.__setattr__(self, "log_dir", self.state_dir / "logs")
        if not self.instance:
            mark = instance_of(self.specs) if self.git is None else instance_of_git(self.git, self.git_path)
            object.__setattr__(self, "instance", mark)
        if (folder := self.git_folder) is not None:
            object.__setattr__(self, "specs", folder / "current" / self.git_path)
            if self.status_dir is None:
                object.__setattr__(self, "status_dir", folder / "status")

    @property
    def git_folder(self) -> Path | None:
        """Where mirror, checkouts and statuses of the followed repository are; None for a plain folder."""
        return self.state_dir.absolute() / "git" / self.instance if self.git is not None else None


def instance_of(specs: Path) -> str:
    """First 12 hex digits of the SHA-256 of the folder's absolute path.

    Symlinks are not resolved: a folder whose target is swapped (git-sync) stays the same instance.
    """
    return hashlib.sha256(os.path.abspath(specs).encode()).hexdigest()[:12]  # noqa: PTH100  (no symlinks)


def instance_of_git(url: GitUrl, path: str) -> str:
    """The same for a folder of a repository, whatever revision or ref of it is followed."""
    return hashlib.sha256(f"git\n{url.location}\n{path}".encode()).hexdigest()[:12]


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Merge flag, ``RECONCILER_*`` variable, ``reconciler.yaml`` and default, in this order.

    Args:
        flags: field name to text or value; None (and an empty tuple) means not given.
        environ: the process's own when None.
        folder: where ``reconciler.yaml`` is looked for first; the current one when None.
        config_file: read this file and no other; it must exist.

    Raises:
        ConfigError: naming the flag, the variable, or file and line, and what may have been meant.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    file = _find_file(environ, folder, config_file)
    _overlay(values, _from_file(file), "reconciler.yaml")
    if file is not None:
        values["config_file"] = file.absolute()
    _overlay(values, _from_environment(environ), "the environment")
    given = {name: raw for name, raw in (flags or {}).items() if raw is not None and raw != ()}
    parsed = {name: _parsed(OPTION[name], raw, f"--{OPTION[name].flag}") for name, raw in given.items()}
    _overlay(values, parsed, "the command line")
    if "state_dir" not in values:
        values["state_dir"] = xdg_folder("XDG_STATE_HOME", ".local/state", environ) / "reconciler"
    return Settings(**values)


def _overlay(values: dict[str, Any], stronger: Mapping[str, Any], where: str) -> None:
    """Let the stronger values win; a folder named there replaces a repository named before, and vice versa.

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


def _find_file(environ: Mapping[str, str], folder: Path | None, given: Path | None) -> Path | None:
    if given is None and environ.get("RECONCILER_CONFIG"):
        given = Path(environ["RECONCILER_CONFIG"])
    if given is not None:
        if not given.is_file():
            raise ConfigError(f"{given} is not there.", remedy="Name a file that exists with --config.")
        return given
    places = (
        (Path() if folder is None else folder) / FILE_NAME,
        xdg_folder("XDG_CONFIG_HOME", ".config", environ) / "reconciler" / FILE_NAME,
    )
    return next((place for place in places if place.is_file()), None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {option.variable: option for option in OPTIONS}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in OTHER_VARIABLES or not text:
            continue
        option = known.get(variable)
        if option is not None:
            values[option.name] = _parsed(option, text, variable)
        elif near := difflib.get_close_matches(variable, known, n=1, cutoff=0.9):
            # Others may use the prefix for their own ends; a slip of the pen may not pass for one.
            raise ConfigError(f"{variable} is no setting.", remedy=f"Did you mean {near[0]}?")
    return values


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    keys = {key: option for option in OPTIONS for key in (option.name, _key(option.flag), *option.aliases)}
    values: dict[str, Any] = {}
    for key, line, node, raw in _read_mapping(path):
        place = f"{path}:{line}: {key}"
        if key == POLICY_KEY:
            from reconciler.config.policy_file import read_policy  # noqa: PLC0415  (most files have none)

            if "policy" in values:
                raise ConfigError(f"{place} is given twice.", remedy="Keep one of them.")
            values["policy"] = read_policy(node, raw, path)
            continue
        option = keys.get(_key(key))
        if option is None:
            names = sorted({o.flag for o in OPTIONS} | {POLICY_KEY})
            hint = did_you_mean(key, names)
            raise ConfigError(f"{place} is no setting{hint}.", remedy=f"There are: {', '.join(names)}.")
        if option.name in values:
            raise ConfigError(f"{place} is given twice.", remedy="Keep one of them.")
        if raw is None:
            continue
        value = _parsed(option, raw, place)
        values[option.name] = path.parent / value if isinstance(value, Path) else value
    return values


def _read_mapping(path: Path) -> Iterable[tuple[str, int, Any, Any]]:
    """Key, its line (from 1), node and decoded value of each top-level entry."""
    import yaml  # noqa: PLC0415  (most commands run without a file)

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                f"{path}:1: the file must be a mapping.", remedy="Write lines as `engine: podman`."
            )
        for key, value in root.value:
            yield str(key.value), key.start_mark.line + 1, value, _decoded(loader, value, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{path}:{line}: this is no YAML: {problem}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _decoded(loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
    try:
        return loader.construct_document(node)
    except MISFITS:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: {MISFIT}.") from None


def _key(name: str) -> str:
    """``pull-policy`` and ``pullPolicy`` as ``pull_policy``."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower().replace("-", "_")


def _parsed(option: Option, raw: Any, place: str) -> Any:
    try:
        return option.value(raw)
    except ValueError as error:
        shown = ", ".join(map(str, raw)) if isinstance(raw, (list, tuple)) else raw
        shown = redact(shown) if isinstance(shown, str) else shown
        raise ConfigError(f"{place}: {shown!r} {error}.") from None


def default_text(name: str) -> str:
    """What a setting is unless it is given, for help and documentation; "" where that goes without saying."""
    value = Settings.__dataclass_fields__[name].default
    if name in _DEFAULTS_IN_WORDS:
        return _DEFAULTS_IN_WORDS[name]
    if value is None or value == () or isinstance(value, bool):
        return ("on" if value else "off") if isinstance(value, bool) else ""
    return f"{value:g} s" if isinstance(value, float) else str(value)
