"""Which engine is used: the one asked for, or the first that answers.

Nothing here keeps a connection: an engine that goes away later is reported by its own calls, and whoever
runs for long asks again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from reconciler.engines.discovery import endpoints, ping
from reconciler.engines.http import error_mapping
from reconciler.engines.protocol import Engine
from reconciler.errors import ConfigError, EngineError, EngineUnavailable

Kind = Literal["docker", "podman"]

#: What pip knows this package as.
DISTRIBUTION: Final = "trainjob-reconciler"
ENGINES: Final = ("auto", "docker", "podman", "process")

#: The module that talks to an engine, and the extra of this package that brings it.
_CLIENTS: Final[Mapping[Kind, str]] = {"docker": "docker", "podman": "podman"}
_OTHER: Final[Mapping[Kind, Kind]] = {"docker": "podman", "podman": "docker"}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What discovery looks at, so that a test can say what there is.

    Attributes:
        environment: variables.
        home: the user's folder.
        uid: the user's number.
        who_answers: which engine answers at a URL; raises :class:`~reconciler.engines.discovery.ping.NoAnswer`.
        has_client: whether the Python client of an engine is installed.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path = field(default_factory=Path.home)
    uid: int = field(default_factory=os.getuid)
    who_answers: Callable[[str], Kind] = ping.who_answers
    has_client: Callable[[Kind], bool] = lambda kind: _is_installed(_CLIENTS[kind])


@dataclass(frozen=True)
class _Tried:
    kind: Kind
    url: str
    why: str


def connect(
    engine: str = "auto",
    container_host: str | None = None,
    *,
    address_pool: Sequence[str] = (),
    state_dir: Path | None = None,
    surroundings: Surroundings | None = None,
) -> Engine:
    """The engine to use.

    Args:
        engine: ``docker``, ``podman``, ``process``, or ``auto``: Docker, then Podman, never processes.
        container_host: its address; without one it is looked for.
        address_pool: CIDR ranges that Docker's networks are cut from; empty: its default.
        state_dir: where the process engine keeps its state; None: its default.
        surroundings: what discovery looks at; this process's by default.

    Raises:
        EngineUnavailable: none answers; the message lists what was tried and how to start one.
        ConfigError: there is no such engine, or the address is none.
    """
    if engine not in ENGINES:
        raise ConfigError(f"There is no engine {engine!r}.", remedy=f"Choose one of {', '.join(ENGINES)}.")
    if engine == "process":
        if container_host:
            raise ConfigError(
                "The process engine has no container host.", remedy="Leave out `--container-host`."
            )
        from reconciler.engines.process.process_engine import ProcessEngine  # noqa: PLC0415  (late, as the others)

        return ProcessEngine(state_dir) if state_dir is not None else ProcessEngine()
    around = surroundings or Surroundings()
    tried: list[_Tried] = []
    clientless: EngineUnavailable | None = None
    for kind, url in _places(engine, container_host, around):
        try:
            found = _who(kind, url, around)
        except ping.NoAnswer as no_answer:
            tried.append(_Tried(kind, url, str(no_answer)))
            continue
        if engine in {"auto", found} and around.has_client(found):
            return make(found, url, address_pool=address_pool)
        if engine in {"auto", found}:
            clientless = clientless or _client_missing(found, url)
            continue
        other = "Podman" if found == "podman" else "Docker"
        tried.append(_Tried(kind, url, f"{other} answers there: use `--engine {found}`"))
    raise clientless or _nobody(engine, tried)


def make(kind: Kind, url: str, *, address_pool: Sequence[str] = ()) -> Engine:
    """The engine of this kind at this address, whether it answers or not."""
    if kind == "podman":
        from reconciler.engines.podman.podman_engine import PodmanEngine  # noqa: PLC0415  (late: it imports requests)

        return PodmanEngine(url)
    from reconciler.engines.docker.docker_engine import DockerEngine  # noqa: PLC0415

    return DockerEngine(url, subnet_pool=address_pool) if address_pool else DockerEngine(url)


def _is_installed(module: str) -> bool:
    """Whether a module can be imported; a folder of its name in the way is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def _client_missing(kind: Kind, url: str) -> EngineUnavailable:
    """An engine is there, and a trimmed install has nothing to speak to it with."""
    return EngineUnavailable(
        f"{kind.capitalize()} answers at {url}, but its Python client is not installed.",
        remedy=f"pip install '{DISTRIBUTION}[{kind}]'",
    )


def _places(engine: str, container_host: str | None, around: Surroundings) -> list[tuple[Kind, str]]:
    kinds: tuple[Kind, ...] = ("docker", "podman") if engine == "auto" else (_kind(engine),)
    if container_host:
        # One place, whichever engine it turns out to be.
        return [(kinds[-1], endpoints.normalized(container_host))]
    found: list[tuple[Kind, str]] = []
    for kind in kinds:
        look = endpoints.docker_addresses if kind == "docker" else endpoints.podman_addresses
        found += [(kind, url) for url in look(around.environment, around.home, uid=around.uid)]
    return found


def _kind(engine: str) -> Kind:
    return "podman" if engine == "podman" else "docker"


def _who(kind: Kind, url: str, around: Surroundings) -> Kind:
    """Who answers; over ssh only the clients can ask, the expected one first."""
    if not url.startswith("ssh://"):
        return around.who_answers(url)
    ping.ssh_reaches(url)
    why = ""
    for candidate in (kind, _OTHER[kind]):
        if not around.has_client(candidate):
            why = why or f"{candidate.capitalize()}'s Python client is not installed"
            continue
        engine = make(candidate, url)
        try:
            engine.info()
        except EngineError as error:
            why = why or error.message
        else:
            return candidate
        finally:
            engine.close()
    raise ping.NoAnswer(why)


def _nobody(engine: str, tried: list[_Tried]) -> EngineUnavailable:
    wanted = {"docker": "Docker", "podman": "Podman"}.get(engine, "container engine")
    lines = "; ".join(f"{place.url} ({place.why})" for place in tried)
    commands = [
        error_mapping.how_to_start(name)
        for kind, name in (("podman", "Podman"), ("docker", "Docker"))
        if engine in {"auto", kind}
    ]
    if engine == "auto":
        commands.append("Without either, `--engine process` runs plain processes.")
    return EngineUnavailable(f"No {wanted} answers. Tried: {lines}.", remedy=" ".join(commands))
