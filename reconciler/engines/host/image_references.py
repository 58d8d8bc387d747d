"""Image references as engines read them: ``busybox`` is ``docker.io/library/busybox:latest``.

The rules are those of the distribution project's reference grammar, as Docker and Podman use it: the part
before the first slash is a registry only if it has a dot or a colon, or is ``localhost``.

:func:`full_name` and :func:`registry_of` accept any text, because the engine is the one that rejects a bad
name; :class:`ImageReference` validates, and knows the other names of Docker Hub.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

DEFAULT_REGISTRY: Final = "docker.io"
#: Other names of the same registry, as credential files have them.
DOCKER_HUB_NAMES: Final = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class ImageReference:
    """A valid reference in parts.

    Attributes:
        registry: host, with a port where one is given.
        repository: ``library/busybox``.
        tag: "" where only a digest is given.
        digest: ``sha256:...`` or "".
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Splits a reference and fills in the defaults.

        Raises:
            ValueError: the text is no reference; the message says which part is wrong.
        """
        rest, _, digest = text.strip().partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ValueError(
                f"{text!r} is no image reference: {digest!r} is no digest such as sha256:<64 hex>"
            )
        registry, path = _split_registry(rest)
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(f"{text!r} is no image reference: {tag!r} is no tag")
        if not _REPOSITORY.fullmatch(path):
            raise ValueError(
                f"{text!r} is no image reference: {path!r} is no repository name "
                "(lower-case letters, digits, . _ - /)"
            )
        if registry in DOCKER_HUB_NAMES:
            registry = DEFAULT_REGISTRY
            path = path if "/" in path else f"library/{path}"
        return cls(
            registry=registry,
            repository=path,
            tag=tag or ("" if digest else "latest"),
            digest=digest,
        )

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}"
        name += f":{self.tag}" if self.tag else ""
        return name + (f"@{self.digest}" if self.digest else "")


def registry_of(image: str) -> str:
    """Returns the registry an image comes from; Docker Hub when the name does not say."""
    return _split_registry(image)[0]


def full_name(image: str) -> str:
    """Returns the name with registry and tag: ``python`` is ``docker.io/library/python:latest``."""
    registry, rest = _split_registry(image)
    if registry == DEFAULT_REGISTRY and "/" not in rest:
        rest = f"library/{rest}"
    if "@" not in rest and ":" not in rest.rsplit("/", 1)[-1]:
        rest += ":latest"
    return f"{registry}/{rest}"


def _split_registry(name: str) -> tuple[str, str]:
    head, slash, tail = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return head, tail
    return DEFAULT_REGISTRY, name


def is_on_loopback(registry: str) -> bool:
    """Reports whether the registry is on loopback, where plain HTTP is no risk (Docker's rule)."""
    host = registry.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
