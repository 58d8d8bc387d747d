"""Engines on a state folder of their own; what a test leaves running is removed after it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.engines.process import supervisor_launch
from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec, NetworkSpec


@pytest.fixture(scope="session")
def mounts_refused(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Why containers cannot have mount namespaces here; "" where they can."""
    return supervisor_launch.probe_mount_namespaces(tmp_path_factory.mktemp("probe"))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


def _clean(engine: ProcessEngine) -> None:
    for container in engine.list_containers({}):
        engine.remove_container(container.name)
    for volume in engine.list_volumes({}):
        engine.remove_volume(volume.name)
    engine.close()


@pytest.fixture
def engine(state_dir: Path) -> Iterator[ProcessEngine]:
    """An engine with its defaults."""
    made = ProcessEngine(state_dir)
    yield made
    _clean(made)


@pytest.fixture
def rewriting_engine(state_dir: Path) -> Iterator[ProcessEngine]:
    """An engine on a machine whose kernel refuses mount namespaces."""
    made = ProcessEngine(state_dir, can_mount=False)
    yield made
    _clean(made)


@pytest.fixture
def mounting_engine(state_dir: Path, mounts_refused: str) -> Iterator[ProcessEngine]:
    """An engine that mounts volumes."""
    if mounts_refused:
        pytest.skip(f"this kernel refuses mount namespaces: {mounts_refused}")
    made = ProcessEngine(state_dir, can_mount=True)
    yield made
    _clean(made)


@dataclass
class Bench:
    """Shortcuts for one engine."""

    engine: ProcessEngine
    networks: dict[str, NetworkState] = field(default_factory=dict)

    def network(self, name: str = "job-net", **more: object) -> NetworkState:
        self.networks[name] = self.engine.create_network(NetworkSpec(name=name, labels={}, **more))
        return self.networks[name]

    def create(self, *command: str, name: str = "job-node-0", **more: object) -> str:
        spec = ContainerSpec(**{"name": name, "image": "none", "labels": {}, "entrypoint": command, **more})
        return self.engine.create_container(spec)

    def start(self, *command: str, name: str = "job-node-0", **more: object) -> str:
        container = self.create(*command, name=name, **more)
        self.engine.start_container(name)
        return container

    def output(self, name: str = "job-node-0") -> str:
        """Everything it wrote, once it has ended."""
        return b"".join(self.engine.logs(name, follow=True)).decode()

    def run(self, *command: str, **more: object) -> str:
        self.start(*command, **more)
        return self.output(str(more.get("name", "job-node-0")))


@pytest.fixture
def bench(engine: ProcessEngine) -> Bench:
    return Bench(engine)


@pytest.fixture
def bench_of() -> type[Bench]:
    return Bench


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition, ten seconds at most."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not hold within 10 s"
            time.sleep(0.005)

    return wait
