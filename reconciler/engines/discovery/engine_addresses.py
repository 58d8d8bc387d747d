"""Where an engine may answer: variables, contexts and the sockets that installations use.

Each list is in the order in which the engine's own command line would look, rootless before rootful.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.common.regular_files import read_regular_text
from reconciler.errors import ConfigError

SCHEMES = ("unix", "tcp", "http", "https", "ssh")


def normalize_address(url: str) -> str:
    """Returns an engine's address as a URL; a bare path is a socket, aliases of schemes are one.

    Raises:
        ConfigError: no engine can be reached that way.
    """
    text = url.strip()
    if text.startswith("/"):
        return f"unix://{text}"
    for alias, scheme in (("http+unix://", "unix://"), ("http+ssh://", "ssh://")):
        if text.startswith(alias):
            text = scheme + text.removeprefix(alias)
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES or not rest.strip("/"):
        raise ConfigError(
            f"The container host {url!r} is not an address of an engine.",
            remedy="Give unix:///path/to/the.sock, tcp://host:port or ssh://user@host/path/to/the.sock.",
        )
    return text


def docker_addresses(environment: Mapping[str, str], home: Path, *, uid: int) -> list[str]:
    """Returns where Docker may answer; ``DOCKER_HOST`` is the only address when it is set."""
    if host := environment.get("DOCKER_HOST"):
        return [normalize_address(host)]
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    context = _docker_context(environment, home)
    urls = [
        *([context] if context else []),
        "unix:///var/run/docker.sock",
        f"unix://{runtime}/docker.sock",
        f"unix://{home}/.docker/run/docker.sock",
        f"unix://{home}/.docker/desktop/docker.sock",
        f"unix://{home}/.colima/default/docker.sock",
        f"unix://{home}/.colima/docker.sock",
        *(f"unix://{path}" for path in sorted((home / ".colima").glob("*/docker.sock"))),
        f"unix://{home}/.config/colima/default/docker.sock",
        f"unix://{home}/.rd/docker.sock",
    ]
    return list(dict.fromkeys(urls))


def podman_addresses(environment: Mapping[str, str], home: Path, *, uid: int) -> list[str]:
    """Returns where Podman may answer; ``CONTAINER_HOST`` is the only address when it is set."""
    if host := environment.get("CONTAINER_HOST"):
        return [normalize_address(host)]
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    machines = home / ".local" / "share" / "containers" / "podman" / "machine"
    # Podman 5's machines on macOS put theirs into TMPDIR.
    temporary = environment.get("TMPDIR")
    sockets = sorted(Path(temporary, "podman").glob("*-api.sock")) if temporary else []
    urls = [
        f"unix://{runtime}/podman/podman.sock",
        "unix:///run/podman/podman.sock",
        *(f"unix://{path}" for path in sorted(machines.glob("**/podman.sock"))),
        *(f"unix://{path}" for path in sockets),
    ]
    return list(dict.fromkeys(urls))


def _docker_context(environment: Mapping[str, str], home: Path) -> str:
    """Returns the address of Docker's current context (``docker context use``); "" for the default one."""
    folder = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    try:
        name = environment.get("DOCKER_CONTEXT") or str(
            _load_json(folder / "config.json").get("currentContext", "")
        )
        if not name or name == "default":
            return ""
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = _load_json(folder / "contexts" / "meta" / digest / "meta.json")
        return normalize_address(str(meta["Endpoints"]["docker"]["Host"]))
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return ""


def _load_json(path: Path) -> dict[str, Any]:
    value = json.loads(read_regular_text(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no JSON object")  # noqa: TRY004  (a file's content, not a caller's type)
    return value
