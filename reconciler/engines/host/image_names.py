"""Image names: which registry they are from, and what they are called in full."""

from __future__ import annotations

import ipaddress
from typing import Final

DOCKER_HUB: Final = "docker.io"


def registry_of(image: str) -> str:
    """The registry an image comes from; Docker Hub when the name doesn't say, as everywhere."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB


def full_name(image: str) -> str:
    """The name with registry and tag: ``python`` is ``docker.io/library/python:latest``."""
    registry = registry_of(image)
    rest = image
    if image.split("/", 1)[0] == registry and "/" in image:
        rest = image.split("/", 1)[1]
    if registry == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    if "@" not in rest and ":" not in rest.rsplit("/", 1)[-1]:
        rest += ":latest"
    return f"{registry}/{rest}"


def on_loopback(registry: str) -> bool:
    """Whether the registry is on this host's loopback, where plain HTTP is no risk (Docker's rule)."""
    host = registry.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
