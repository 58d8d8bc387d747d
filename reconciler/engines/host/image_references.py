"""Image references as engines read them: ``busybox`` is ``docker.io/library/busybox:latest``.

The rules are those of the distribution project's reference grammar, as Docker and Podman use it: the part
before the first slash is a registry only if it has a dot or a colon, or is ``localhost``.

:func:`full_name` and :func:`registry_of` accept any text, because the engine is the one that rejects a bad
name; :func:`repository_of` validates, and knows the other names of Docker Hub.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

DEFAULT_REGISTRY: Final = "docker.io"
#: Other names of the same registry, as credential files have them.
DOCKER_HUB_NAMES: Final = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*")


def repository_of(image: str) -> str | None:
    """Returns ``docker.io/library/busybox`` for ``busybox:1``; None where the text is no reference."""
    rest, at, digest = image.strip().partition("@")
    registry, path = _split_registry(rest)
    path, colon, tag = path.partition(":")
    if (at and not _DIGEST.fullmatch(digest)) or (colon and not _TAG.fullmatch(tag)):
        return None
    if not _REPOSITORY.fullmatch(path):
        return None
    if registry in DOCKER_HUB_NAMES:
        registry = DEFAULT_REGISTRY
        path = path if "/" in path else f"library/{path}"
    return f"{registry}/{path}"


def registry_of(image: str) -> str:
    """Returns the registry an image comes from; Docker Hub when the name does not say."""
    return _split_registry(image)[0]


def full_name(image: str) -> str:
    """Returns the name with registry and tag: ``python`` is ``docker.io/library/python:latest``."""
    registry, rest = _split_registry(image)
    if registry == DEFAULT_REGISTRY and "/" not in rest:
        rest = f"library/{rest}"
    return f"{registry}/{with_tag(rest)}"


def with_tag(image: str) -> str:
    """Returns the name with the tag that is meant where it has none and no digest: ``latest``."""
    tagged = "@" in image or ":" in image.rsplit("/", 1)[-1]
    return image if tagged else f"{image}:latest"


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
