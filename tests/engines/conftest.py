"""Test benches on each engine. An engine that this machine lacks is skipped, with the reason."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.engines.discovery.selection import create_engine
from reconciler.engines.podman.podman_engine import PodmanEngine
from reconciler.engines.podman.rootless_limits import detect_privileges
from reconciler.engines.protocol import Engine, EngineInfo
from tests.support import engines, images
from tests.support.benches import Abilities, Bench

PROCESS = Abilities(images=False, limits=False, namespaces=False, dns=False)

MakeBench = Callable[[str], Bench]


@pytest.fixture(scope="session")
def _engines() -> Iterator[None]:
    with engines.using_engines():
        yield


@pytest.fixture(scope="session")
def engine_url(_engines: None) -> Callable[[str], str]:
    """Returns the address of a running engine that has the test image."""
    known: dict[str, str] = {}

    def find(kind: str) -> str:
        if kind not in known:
            try:
                known[kind] = engines.ensure_engine(kind)
                images.ensure_image(kind, url=known[kind])
            except (engines.EngineMissing, images.ImageMissing) as error:
                pytest.skip(f"{kind}: {error}")
        return known[kind]

    return find


@pytest.fixture
def make_bench(engine_url: Callable[[str], str], tmp_path: Path) -> Iterator[MakeBench]:
    """Creates a bench on an engine; its objects are removed at the end, also after a failure."""
    made: list[Bench] = []

    def make(kind: str) -> Bench:
        engine: Engine
        if kind == "process":
            from reconciler.engines.process.process_engine import ProcessEngine  # noqa: PLC0415

            engine = ProcessEngine(tmp_path / "processes")
            bench = Bench(engine, "", PROCESS)
        else:
            url = engine_url(kind)
            engine = create_engine(kind, url)
            if isinstance(engine, PodmanEngine):
                # As a daemon, which asks once: /info is half a second of work for Podman.
                engine._user_privileges = detect_privileges(_info(kind, url))
            bench = Bench(engine, images.reference(), _abilities(kind, url))
        made.append(bench)
        return bench

    yield make
    for bench in made:
        try:
            bench.clean()
        finally:
            bench.engine.close()


@functools.cache
def _info(kind: str, url: str) -> EngineInfo:
    engine = create_engine(kind, url)
    try:
        return engine.info()
    finally:
        engine.close()


def _abilities(kind: str, url: str) -> Abilities:
    """Returns what the engine can do here: rootless Podman sets limits only through delegated controllers."""
    info = _info(kind, url)
    if kind == "docker":
        return Abilities()
    privileges = detect_privileges(info)
    limits = not privileges.rootless or {"cpu", "memory"} <= privileges.controllers
    # Under cgroup v1 such a container has no cgroup to be paused by.
    pause = not privileges.rootless or privileges.cgroup_version == "2"
    return Abilities(limits=limits, pause=pause, devices=True, rootless=info.rootless)


@pytest.fixture(params=["podman", "docker", "process"])
def bench(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    """A bench on each engine."""
    return make_bench(request.param)


@pytest.fixture(params=["podman", "docker"])
def containers(request: pytest.FixtureRequest, make_bench: MakeBench) -> Bench:
    """A bench on each engine that has images and isolation, which processes lack."""
    return make_bench(request.param)


@pytest.fixture
def podman(make_bench: MakeBench) -> Bench:
    """A bench on Podman."""
    return make_bench("podman")


@pytest.fixture
def docker(make_bench: MakeBench) -> Bench:
    """A bench on Docker."""
    return make_bench("docker")


@pytest.fixture
def engine(bench: Bench) -> Engine:
    """The engine itself."""
    return bench.engine


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: a socket's path may have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="rt-") as folder:
        yield Path(folder)
