"""Selects and connects the engine: the one asked for, or the first that answers.

Nothing here keeps a connection: an engine that goes away later is reported by its own calls, and a caller
that runs for long connects again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from reconciler.engines.discovery import engine_addresses, ping
from reconciler.engines.http import error_mapping
from reconciler.engines.protocol import Engine
from reconciler.errors import ConfigError, EngineError, EngineUnavailable

Kind = Literal["docker", "podman"]

#: Name of this package for pip.
DISTRIBUTION: Final = "trainjob-reconciler"
ENGINES: Final = ("auto", "docker", "podman", "process")

_KINDS: Final[tuple[Kind, ...]] = ("docker", "podman")
_ADDRESSES: Final = {
    "docker": engine_addresses.docker_addresses,
    "podman": engine_addresses.podman_addresses,
}


def _has_client(kind: Kind) -> bool:
    """Reports whether the engine's client can be imported; a folder of its name is none."""
    spec = find_spec(kind)
    return spec is not None and spec.origin is not None


def connect(
    engine: str = "auto",
    container_host: str | None = None,
    *,
    address_pool: Sequence[str] = (),
    state_dir: Path | None = None,
) -> Engine:
    """Returns the engine to use.

    Args:
        engine: ``docker``, ``podman``, ``process``, or ``auto``: Docker, then Podman, never processes.
        container_host: its address; without one it is looked for.
        address_pool: CIDR ranges for Docker's networks (:mod:`reconciler.engines.host.subnet_pool`); empty:
            the default.
        state_dir: where the process engine keeps its state; None: its default.

    Raises:
        EngineUnavailable: none answers; the message lists what was tried and how to start one.
        ConfigError: there is no such engine, or the address is none.
    """
    if engine not in ENGINES:
        raise ConfigError(f"There is no engine {engine!r}.", remedy=f"Choose one of {', '.join(ENGINES)}.")
    if engine == "process":
        return _process_engine(container_host, state_dir)
    failures: list[str] = []
    clientless: EngineUnavailable | None = None
    for kind, url in _candidates(engine, container_host):
        try:
            found = _identify(kind, url)
        except ping.NoAnswer as no_answer:
            failures.append(f"{url} ({no_answer})")
            continue
        if engine not in {"auto", found}:
            failures.append(f"{url} ({found.capitalize()} answers there: use `--engine {found}`)")
        elif _has_client(found):
            return create_engine(found, url, address_pool=address_pool)
        else:
            clientless = clientless or _client_missing(found, url)
    raise clientless or _none_answers(engine, failures)


def _process_engine(container_host: str | None, state_dir: Path | None) -> Engine:
    if container_host:
        raise ConfigError("The process engine has no container host.", remedy="Leave out `--container-host`.")
    from reconciler.engines.process.process_engine import ProcessEngine  # noqa: PLC0415  (late, as the others)

    return ProcessEngine(state_dir)


def create_engine(kind: Kind, url: str, *, address_pool: Sequence[str] = ()) -> Engine:
    """Returns the engine of this kind at this address, whether it answers or not."""
    if kind == "podman":
        from reconciler.engines.podman.podman_engine import PodmanEngine  # noqa: PLC0415  (late: it imports requests)

        return PodmanEngine(url)
    from reconciler.engines.docker.docker_engine import DockerEngine  # noqa: PLC0415

    return DockerEngine(url, address_pool=address_pool)


def _candidates(engine: str, container_host: str | None) -> list[tuple[Kind, str]]:
    """Returns the addresses to ask, each with the engine that is expected there."""
    kinds = [kind for kind in _KINDS if engine in {"auto", kind}]
    if container_host:
        # One address, whichever engine it turns out to be.
        return [(kinds[-1], engine_addresses.normalize_address(container_host))]
    home, uid = Path.home(), os.getuid()
    return [(kind, url) for kind in kinds for url in _ADDRESSES[kind](os.environ, home, uid=uid)]


def _identify(kind: Kind, url: str) -> Kind:
    """Returns which engine answers; over ssh only the clients can ask, the expected one first.

    Raises:
        NoAnswer: none does.
    """
    if not url.startswith("ssh://"):
        return ping.identify_engine(url)
    ping.check_ssh(url)
    reason = ""
    for candidate in (kind, *(other for other in _KINDS if other != kind)):
        if not _has_client(candidate):
            reason = reason or f"{candidate.capitalize()}'s Python client is not installed"
            continue
        engine = create_engine(candidate, url)
        try:
            engine.info()
        except EngineError as error:
            reason = reason or error.message
        else:
            return candidate
        finally:
            engine.close()
    raise ping.NoAnswer(reason)


def _client_missing(kind: Kind, url: str) -> EngineUnavailable:
    """Returns the error for an engine that answers where a trimmed install lacks its client."""
    return EngineUnavailable(
        f"{kind.capitalize()} answers at {url}, but its Python client is not installed.",
        remedy=f"pip install '{DISTRIBUTION}[{kind}]'",
    )


def _none_answers(engine: str, failures: Sequence[str]) -> EngineUnavailable:
    name = {"docker": "Docker", "podman": "Podman"}.get(engine, "container engine")
    commands = [
        error_mapping.start_remedy(kind.capitalize())
        for kind in ("podman", "docker")
        if engine in {"auto", kind}
    ]
    if engine == "auto":
        commands.append("Without either, `--engine process` runs plain processes.")
    return EngineUnavailable(f"No {name} answers. Tried: {'; '.join(failures)}.", remedy=" ".join(commands))
