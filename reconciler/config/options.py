"""The settings as users meet them: flags, variables and keys, and what their values may be.

One table, so that the command line, the environment and ``reconciler.yaml`` cannot differ. Values are
parsed here; merging them is :mod:`reconciler.config.settings`'s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.common.durations import parse_duration
from reconciler.config.git_urls import parse_path, parse_ref, parse_url

VARIABLE_PREFIX: Final = "RECONCILER_"


def _positive_duration(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be longer than 0 seconds")
    return seconds


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("is neither true nor false")


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None or str(value).strip() == "":
        raise ValueError("must be a text")
    return str(value)


def _path(value: Any) -> Path:
    return Path(_text(value)).expanduser()


def _count(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value).strip()) or int(value) < 1:
        raise ValueError("must be a whole number of 1 or more")
    return int(value)


def _instance(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text):
        raise ValueError("is no label value: 1 to 63 letters, digits, '-', '_' and '.'")
    return text


def _git_url(value: Any) -> Any:
    return parse_url(_text(value).strip())


def _git_ref(value: Any) -> str:
    return parse_ref(_text(value).strip())


def _git_path(value: Any) -> str:
    return parse_path(_text(value).strip())


def _endpoint(value: Any) -> str:
    import ipaddress  # noqa: PLC0415  (costs the start of every command)

    text = _text(value).strip()
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError("is no address and port such as 127.0.0.1:9444") from None
    if address.is_unspecified or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError("is no address of one interface and a port, such as 127.0.0.1:9444")
    return text


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a list of texts")  # noqa: TRY004  (a value of the user's, not of a caller)
    return tuple(_text(item) for item in value)


def _networks(value: Any) -> tuple[str, ...]:
    import ipaddress  # noqa: PLC0415  (costs the start of every command)

    items = _texts(value)
    for item in items:
        try:
            ipaddress.ip_network(item)
        except ValueError as error:
            raise ValueError(f"is no list of CIDR ranges such as 10.128.0.0/16: {error}") from None
    return items


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting as users meet it.

    Attributes:
        name: of the field of :class:`Settings`.
        flag: without dashes; the variable is ``RECONCILER_`` and the same in capitals.
        parse: text or decoded YAML to the field's value; raises ValueError with what is wrong.
        choices: the values there are, in their own spelling; empty: free.
        aliases: further keys in ``reconciler.yaml`` (the upstream SDK's ``ContainerBackendConfig``).
    """

    name: str
    flag: str
    help: str
    parse: Callable[[Any], Any]
    choices: tuple[str, ...] = ()
    metavar: str = ""
    repeatable: bool = False
    boolean: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """``RECONCILER_PULL_POLICY``."""
        return VARIABLE_PREFIX + self.flag.upper().replace("-", "_")

    def value(self, raw: Any) -> Any:
        """The field's value; choices are taken in any case.

        Raises:
            ValueError: with the end of a sentence that begins with the value.
        """
        if not self.choices:
            return self.parse(raw)
        word = str(raw).strip()
        for choice in self.choices:
            if choice.lower() == word.lower():
                return choice
        raise ValueError(f"is not one of {', '.join(self.choices)}{did_you_mean(word, self.choices)}")


def _choice(name: str, text: str, *choices: str, aliases: tuple[str, ...] = ()) -> Option:
    return Option(
        name=name, flag=name.replace("_", "-"), help=text, parse=str, choices=choices, aliases=aliases
    )


OPTIONS: Final[tuple[Option, ...]] = (
    Option(name="specs", flag="specs", help="Folder of manifests.", parse=_path, metavar="DIR"),
    _choice(
        "engine",
        "Where containers run; auto tries Docker, then Podman, never process.",
        *("auto", "docker", "podman", "process"),
        aliases=("container_runtime",),
    ),
    Option(
        name="container_host",
        flag="container-host",
        help="URL of the engine's socket, unix:///run/podman/podman.sock.",
        parse=_text,
        metavar="URL",
    ),
    _choice("pull_policy", "When images are pulled.", "IfNotPresent", "Always", "Never"),
    Option(
        name="auto_remove",
        flag="auto-remove",
        help="Remove the containers and the network of a job that has ended.",
        parse=_boolean,
        boolean=True,
    ),
    Option(
        name="runtime_sources",
        flag="runtime-source",
        help="Where further runtimes come from: a path, file://, http(s)://, github://owner/repo/path.",
        parse=_texts,
        metavar="URL",
        repeatable=True,
        aliases=("runtime_source", "runtime_sources"),
    ),
    Option(
        name="status_dir",
        flag="status-dir",
        help="Folder for status files, instead of beside the manifests.",
        parse=_path,
        metavar="DIR",
    ),
    Option(name="log_dir", flag="log-dir", help="Folder for kept logs.", parse=_path, metavar="DIR"),
    Option(
        name="state_dir", flag="state-dir", help="Folder for the jobs' records.", parse=_path, metavar="DIR"
    ),
    Option(
        name="resync",
        flag="resync",
        help="Time between full comparisons: 30, 30s, 5m.",
        parse=_positive_duration,
        metavar="TIME",
    ),
    _choice("log_format", "Form of the log; console on a terminal, else json.", "console", "json"),
    _choice("log_level", "Least severity that is logged.", "debug", "info", "warning", "error"),
    _choice("restart_scope", "What a failing container restarts.", "container", "gang"),
    _choice("update_policy", "What a change of an immutable field does.", "Refuse", "Recreate"),
    Option(
        name="allow_empty",
        flag="allow-empty",
        help="An empty folder removes every job.",
        parse=_boolean,
        boolean=True,
    ),
    Option(
        name="preempt",
        flag="preempt",
        help="A job may suspend running ones of lower priority to make room.",
        parse=_boolean,
        boolean=True,
    ),
    Option(
        name="stop_jobs_on_exit",
        flag="stop-jobs-on-exit",
        help="Stop the jobs' containers when the daemon ends; they go on when it runs again.",
        parse=_boolean,
        boolean=True,
    ),
    Option(
        name="max_jobs", flag="max-jobs", help="Jobs that may run at once.", parse=_count, metavar="NUMBER"
    ),
    Option(
        name="address_pool",
        flag="address-pool",
        help="CIDR ranges that Docker networks are cut from.",
        parse=_networks,
        metavar="CIDR",
        repeatable=True,
    ),
    Option(
        name="instance",
        flag="instance",
        help="Owner's mark on everything made; derived from the folder's path.",
        parse=_instance,
        metavar="NAME",
    ),
    Option(
        name="git",
        flag="git",
        help="Follow this git repository instead of a folder: https, ssh, file, or a local path.",
        parse=_git_url,
        metavar="URL",
        aliases=("git_url",),
    ),
    Option(
        name="git_ref",
        flag="ref",
        help="Branch, tag or commit to follow; default: the repository's HEAD.",
        parse=_git_ref,
        metavar="REF",
    ),
    Option(
        name="git_path",
        flag="path",
        help="Folder of the repository that holds the manifests; default: all of it.",
        parse=_git_path,
        metavar="PATH",
    ),
    Option(
        name="git_interval",
        flag="interval",
        help="Time between looks at the repository: 60, 60s, 5m.",
        parse=_positive_duration,
        metavar="TIME",
    ),
    Option(
        name="git_verify",
        flag="git-verify",
        help="Take only commits signed by an allowed signer.",
        parse=_boolean,
        boolean=True,
    ),
    Option(
        name="git_allowed_signers",
        flag="git-allowed-signers",
        help="SSH keys that may sign commits, as ssh-keygen's ALLOWED SIGNERS file has them.",
        parse=_path,
        metavar="FILE",
    ),
    Option(
        name="git_gpg_keys",
        flag="git-gpg-keys",
        help="OpenPGP public keys that may sign commits, as `gpg --export` writes them.",
        parse=_path,
        metavar="FILE",
    ),
    Option(
        name="git_ssh_key",
        flag="git-ssh-key",
        help="Private key for ssh; default: the systemd credential git-ssh-key, else the user's own.",
        parse=_path,
        metavar="FILE",
    ),
    Option(
        name="git_known_hosts",
        flag="git-known-hosts",
        help="Host keys for ssh; default: the systemd credential git-known-hosts, else the user's own.",
        parse=_path,
        metavar="FILE",
    ),
    Option(
        name="git_token_file",
        flag="git-token-file",
        help="File with a token for https; default: the systemd credential git-token, RECONCILER_GIT_TOKEN.",
        parse=_path,
        metavar="FILE",
    ),
    Option(
        name="git_user",
        flag="git-user",
        help="User name that goes with the token, where the server wants a certain one.",
        parse=_text,
        metavar="NAME",
    ),
    Option(
        name="git_webhook",
        flag="git-webhook",
        help="Where the git server may call after a push (POST /hook): 127.0.0.1:9444.",
        parse=_endpoint,
        metavar="HOST:PORT",
    ),
    Option(
        name="git_webhook_secret_file",
        flag="git-webhook-secret-file",
        help="File with the webhook's secret; default: the systemd credential git-webhook-secret.",
        parse=_path,
        metavar="FILE",
    ),
)

OPTION: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """`` (did you mean X?)`` when one of the choices is near, else nothing; letter case aside."""
    lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f" (did you mean {lower[near[0]]}?)" if near else ""
