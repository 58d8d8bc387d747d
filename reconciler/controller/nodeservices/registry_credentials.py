"""Finds the credentials for a registry in a job's ``imagePullSecrets``.

Only Secrets are read here. What ``docker login`` and ``podman login`` have stored is the engines' and their
clients' business: docker-py reads ``~/.docker/config.json`` with its credential helpers, Podman's service
reads its user's ``containers/auth.json``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from reconciler.engines.host.image_references import DEFAULT_REGISTRY, DOCKER_HUB_NAMES, repository_of
from reconciler.engines.protocol import RegistryAuth
from reconciler.errors import ConfigError

#: Keys of a ``kubernetes.io/dockerconfigjson`` and of an (older) ``kubernetes.io/dockercfg`` Secret.
CONFIG_JSON_KEY: Final = ".dockerconfigjson"
CONFIG_KEY: Final = ".dockercfg"


def find_credentials(image: str, secrets: Iterable[Mapping[str, bytes]]) -> RegistryAuth | None:
    """Returns the credentials for an image's registry, from the data of its ``imagePullSecrets`` in order.

    As the kubelet does it, the longest entry that matches wins (``registry.example/team`` before
    ``registry.example``), ``*`` stands for one part of a host name.

    Args:
        image: the reference.
        secrets: data of each Secret, decoded from base64.

    Returns:
        None where no entry fits: the image is then pulled with what the engine itself has.

    Raises:
        ConfigError: a Secret holds no such configuration.
    """
    target = repository_of(image)
    if target is None:
        return None
    best: tuple[int, RegistryAuth] | None = None
    for data in secrets:
        for registry, entry in _read_entries(data).items():
            pattern = _normalize(registry)
            if _matches(pattern, target) and (best is None or len(pattern) > best[0]):
                best = (len(pattern), _read_auth(registry, entry))
    return best[1] if best else None


def _read_entries(data: Mapping[str, bytes]) -> Mapping[str, Any]:
    if CONFIG_JSON_KEY in data:
        config = _decode(data[CONFIG_JSON_KEY], CONFIG_JSON_KEY)
        entries = config.get("auths", {})
    elif CONFIG_KEY in data:
        entries = _decode(data[CONFIG_KEY], CONFIG_KEY)
    else:
        raise ConfigError(
            f"A Secret in imagePullSecrets has no key {CONFIG_JSON_KEY}.",
            remedy=f"Give it the type kubernetes.io/dockerconfigjson and, under {CONFIG_JSON_KEY}, "
            "the content of a Docker config.json.",
        )
    if not isinstance(entries, Mapping):
        raise ConfigError(f"'auths' in {CONFIG_JSON_KEY} of a Secret in imagePullSecrets is no mapping.")
    return entries


def _decode(data: bytes, key: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, UnicodeDecodeError) as error:
        # The text itself is secret: the message only says where it is wrong.
        position = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its encoding"
        raise ConfigError(f"{key} of a Secret in imagePullSecrets is not JSON ({position}).") from None
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} of a Secret in imagePullSecrets is no JSON object.")
    return value


def _normalize(registry: str) -> str:
    """Returns ``docker.io`` for ``https://index.docker.io/v1/`` and the like."""
    text = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = text.partition("/")
    if path in {"v1", "v2"}:
        path = ""
    if host in DOCKER_HUB_NAMES:
        host = DEFAULT_REGISTRY
    return f"{host}/{path}" if path else host


def _matches(pattern: str, target: str) -> bool:
    host, _, path = pattern.partition("/")
    target_host, _, target_path = target.partition("/")
    labels, target_labels = host.split("."), target_host.split(".")
    if len(labels) != len(target_labels):
        return False
    if any(want not in {"*", have} for want, have in zip(labels, target_labels, strict=True)):
        return False
    return not path or target_path == path or target_path.startswith(path + "/")


def _read_auth(registry: str, entry: Any) -> RegistryAuth:
    if isinstance(entry, Mapping):
        username, password = entry.get("username"), entry.get("password")
        if isinstance(username, str) and isinstance(password, str) and username:
            return RegistryAuth(username=username, password=password)
        encoded = entry.get("auth")
        if isinstance(encoded, str):
            try:
                username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                username, colon, password = "", "", ""
            if colon:
                return RegistryAuth(username=username, password=password)
    raise ConfigError(
        f"The entry for {registry} of a Secret in imagePullSecrets has neither username and password "
        "nor 'auth' (base64 of username:password)."
    )
