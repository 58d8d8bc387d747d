"""Credentials for a repository: loaded again for every sync, passed to git without a trace.

A token reaches git through a credential helper that reads a variable of git's own environment, for the one
host it belongs to; a key reaches ssh as the name of a file. Neither is ever an argument, part of a URL that
is stored, or a line of the log. Files win over systemd's credentials (``$CREDENTIALS_DIRECTORY``), those over
variables.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.common.regular_files import read_regular_text
from reconciler.config.credentials import read_credential
from reconciler.config.git_urls import GitUrl
from reconciler.config.settings import Settings
from reconciler.errors import ConfigError
from reconciler.sources.git.git_errors import GitError

TOKEN_CREDENTIAL: Final = "git-token"  # noqa: S105  (a name)
SSH_KEY: Final = "git-ssh-key"
KNOWN_HOSTS: Final = "git-known-hosts"
ALLOWED_SIGNERS: Final = "git-allowed-signers"
GPG_KEYS: Final = "git-gpg-keys"
#: The variable of the same name as the credential.
TOKEN_VARIABLE: Final = "RECONCILER_GIT_TOKEN"  # noqa: S105  (a name)

#: Servers that accept a token accept any user name with it; GitHub's and GitLab's own pages use this one.
DEFAULT_USER: Final = "git"
_USER: Final = "RECONCILER_HELPER_USER"
_PASSWORD: Final = "RECONCILER_HELPER_PASSWORD"  # noqa: S105  (a name)
#: Git runs it through the shell; the values are in the environment, the text is public.
_HELPER: Final = (
    '!f() { test "$1" = get || exit 0; '
    f'printf "username=%s\\npassword=%s\\n" "${_USER}" "${_PASSWORD}"; }}; f'
)


@dataclass(frozen=True, kw_only=True)
class GitCredentials:
    """What git needs to authenticate.

    Attributes:
        configuration: git's settings.
        environment: variables of git's process.
        secrets: never to be printed.
    """

    configuration: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def credential_file(name: str, given: Path | None) -> Path | None:
    """The given file, else systemd's credential of that name, else None; a blank credential is none.

    Raises:
        GitError: the given one is not there, or the credential cannot be read.
    """
    if given is not None:
        if not given.is_file():
            raise GitError(
                f"{given} is not there.", reason="CredentialsMissing", remedy=f"It was named for {name}."
            )
        return given.absolute()
    try:
        passed = read_credential(name)
    except ConfigError as error:
        raise GitError(str(error), reason="CredentialsMissing") from None
    return Path(os.environ["CREDENTIALS_DIRECTORY"], name) if passed is not None else None


def read_secret(name: str, given: Path | None, variable: str) -> str:
    """Read a secret of one line from file, credential or variable; "" when there is none.

    Raises:
        GitError: the file cannot be read, or holds something else than one line.
    """
    path = credential_file(name, given)
    if path is None:
        return os.environ.get(variable, "").strip()
    try:
        text = read_regular_text(path).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise GitError(f"{path} cannot be read: {reason}.", reason="CredentialsMissing") from None
    if not text or len(text.splitlines()) != 1:
        raise GitError(f"{path} must hold one line, the secret.", reason="CredentialsMissing")
    return text


def load_credentials(settings: Settings, url: GitUrl) -> GitCredentials:
    """Load the credentials for this repository.

    Raises:
        GitError: a file is not there or unusable, or a secret would cross the network in the clear.
    """
    if url.scheme == "ssh":
        return _ssh(settings)
    if url.scheme == "file":
        return GitCredentials()
    token = read_secret(TOKEN_CREDENTIAL, settings.git_token_file, TOKEN_VARIABLE) or url.password
    user = settings.git_user or url.user
    if not token and not user:
        return GitCredentials()
    if url.scheme == "http" and not url.is_loopback:
        raise GitError(
            f"{url}: a token is not sent over http, where everybody on the way reads it.",
            reason="AuthenticationFailed",
            remedy="Use https.",
        )
    return GitCredentials(
        configuration={f"credential.{url.scheme}://{url.host}.helper": _HELPER},
        environment={_USER: user or DEFAULT_USER, _PASSWORD: token},
        # A user name in a URL may be a token, too.
        secrets=tuple(text for text in (token, url.user, url.password) if text),
    )


def _ssh(settings: Settings) -> GitCredentials:
    key = credential_file(SSH_KEY, settings.git_ssh_key)
    hosts = credential_file(KNOWN_HOSTS, settings.git_known_hosts)
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "15",
        "ServerAliveInterval": "15",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
        "ControlMaster": "no",
        "ControlPath": "none",
    }
    command = ["ssh", "-a", "-x"]
    if key is not None:
        # This key and no other, whatever the user's own configuration would offer.
        command += ["-F", "/dev/null", "-i", str(key)]
        options |= {"IdentitiesOnly": "yes", "IdentityAgent": "none"}
    if hosts is not None:
        options |= {"UserKnownHostsFile": _quoted(hosts), "GlobalKnownHostsFile": "/dev/null"}
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    return GitCredentials(environment={"GIT_SSH_COMMAND": shlex.join(command), "GIT_SSH_VARIANT": "ssh"})


def _quoted(path: Path) -> str:
    """Quote a path for ssh, which reads several names with blanks between in this option."""
    return f'"{path}"' if " " in str(path) else str(path)
