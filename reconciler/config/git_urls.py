"""Parses the URLs, refs and paths of git repositories, before the git program ever sees them. Pure.

A URL is text from a configuration file or a variable, and git executes some texts: ``ext::sh -c ...`` runs a
program, ``--upload-pack=...`` is an option, ``-oProxyCommand=...`` as a host is one of ssh's. So only the few
forms that are supported are accepted. Credentials are taken out of a URL here and kept apart from it: what is
stored, shown and passed to git never has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

SCHEMES: Final = ("https", "http", "ssh", "file")
#: The form that people copy from a web page: ``git@host:owner/repository.git``.
_SCP: Final = re.compile(r"(?:(?P<user>[^/@:]+)@)?(?P<host>[^/@:]+):(?P<path>.+)")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]*::")
_USERINFO: Final = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/@\s'\"]+@")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
#: What ``git check-ref-format`` forbids anywhere in a ref.
_REF_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_MASK: Final = "***"
#: Shorter texts are not secrets, and hiding them would garble every message.
_MIN_SECRET_LENGTH: Final = 4


@dataclass(frozen=True, kw_only=True)
class GitUrl:
    """A repository.

    Attributes:
        location: the URL for git and for people: without credentials.
        scheme: one of :data:`SCHEMES`.
        host: with the port, where it has one; empty for a local folder.
        user: of http and https, empty unless the URL had one; may itself be a token.
        password: likewise.
    """

    location: str
    scheme: str
    host: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.location

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        name = re.sub(r":\d+$", "", self.host).strip("[]")
        return name in {"localhost", "::1"} or re.fullmatch(r"127\.\d+\.\d+\.\d+", name) is not None


def parse_url(text: str) -> GitUrl:
    """Parses a URL, ``user@host:path`` or the path of a local repository.

    Raises:
        ValueError: with the end of a sentence that begins with the URL.
    """
    blanks = r"[\x00-\x1f\x7f]" if text.startswith((".", "/")) else r"[\x00-\x20\x7f]"
    if not text or re.search(blanks, text):
        raise ValueError("is empty or holds a blank or a control character")
    if text.startswith("-"):
        raise ValueError("begins with '-', which git would take for an option")
    if _HELPER.match(text):
        raise ValueError(f"asks git to run a helper; {_supported_forms()}")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        return _parse_scheme_url(text)
    scp = _SCP.fullmatch(text)
    if scp is not None and not text.startswith((".", "/")):
        return _parse_scp(text, scp)
    return _local_url(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111  (no link may be resolved)


def parse_ref(text: str) -> str:
    """Checks a branch, tag, full ref (``refs/...``) or whole commit; ``HEAD`` is the repository's default.

    Raises:
        ValueError: with the end of a sentence that begins with the ref.
    """
    parts = text.split("/")
    if (
        not text
        or text.startswith(("-", "+"))
        or _REF_FORBIDDEN.search(text)
        or text.endswith((".", "/"))
        or any(not p or p.startswith(".") or p.endswith(".lock") for p in parts)
    ):
        raise ValueError("is not the name of a branch, tag or commit")
    return text


def parse_path(text: str) -> str:
    """Normalizes a folder of the repository, relative to its top; "" is the top itself.

    Raises:
        ValueError: with the end of a sentence that begins with the path.
    """
    parts = [part for part in text.strip("/").split("/") if part not in {"", "."}]
    if ".." in parts or re.search(r"[\x00-\x1f\x7f\\]", text):
        raise ValueError(
            "is not a folder within a repository: write it from the repository's top, without '..'"
        )
    if any(part.lower() == ".git" for part in parts):
        raise ValueError("is git's own folder, which is in no commit")
    return "/".join(parts)


def is_commit(ref: str) -> bool:
    """Whether a ref is a whole commit rather than a name."""
    return _COMMIT.fullmatch(ref) is not None


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Removes the user part of URLs, and masks these secrets as they are and as URLs write them."""
    from urllib.parse import quote  # noqa: PLC0415  (costs the start of every command)

    for secret in secrets:
        if len(secret) >= _MIN_SECRET_LENGTH:
            for written in {secret, quote(secret, safe=""), quote(secret)}:
                text = text.replace(written, _MASK)
    return _USERINFO.sub(r"\1", text)


def _parse_scheme_url(text: str) -> GitUrl:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415  (costs the start of every command)

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError(f"has a scheme that is not supported; {_supported_forms()}")
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise ValueError("names another host; a local repository is file:///path")
        return _local_url(unquote(parts.path))
    host = _check_host(parts.hostname or "")
    shown = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    path = parts.path.rstrip("/")
    if not path or parts.query or parts.fragment:
        raise ValueError("must have the repository's path, and no '?' or '#'")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if scheme == "ssh":
        if password:
            raise ValueError("has a password, which ssh does not take: use a key (--git-ssh-key)")
        before = f"{_check_user(user)}@" if user else ""
        return GitUrl(location=f"ssh://{before}{shown}{path}", scheme=scheme, host=shown)
    if re.search(r"[\x00-\x1f\x7f]", user + password):
        raise ValueError("has a user or a password with control characters")
    return GitUrl(
        location=f"{scheme}://{shown}{path}", scheme=scheme, host=shown, user=user, password=password
    )


def _parse_scp(text: str, found: re.Match[str]) -> GitUrl:
    host = _check_host(found["host"])
    user = found["user"] or ""
    if user:
        _check_user(user)
    if found["path"].startswith("-"):
        raise ValueError("has a path that begins with '-', which git would take for an option")
    return GitUrl(location=text.rstrip("/"), scheme="ssh", host=host)


def _local_url(path: str) -> GitUrl:
    from urllib.parse import quote  # noqa: PLC0415

    if re.search(r"[\x00-\x1f\x7f]", path):
        raise ValueError("is a path with control characters")
    return GitUrl(location=f"file://{quote(path.rstrip('/') or '/')}", scheme="file")


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise ValueError("does not name a valid host")
    return host


def _check_user(user: str) -> str:
    if not _USER.fullmatch(user):
        raise ValueError("does not name a valid ssh user")
    return user


def _supported_forms() -> str:
    return f"supported are {', '.join(f'{scheme}://' for scheme in SCHEMES)}, user@host:path and local paths"
