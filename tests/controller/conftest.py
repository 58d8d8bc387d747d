"""Real engines with a small image out of a real registry on loopback, for the log keeper and the puller."""

import contextlib
import uuid

import pytest

from reconciler.engines.specs import ContainerSpec
from tests.support import engines, registry

LABEL = "reconciler-test-controller"


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """A registry that everybody may read, with the image ``small``."""
    try:
        with registry.running(tmp_path_factory.mktemp("registry")) as running:
            running.push("small", registry.small_archive(tmp_path_factory.mktemp("image") / "small.tar"))
            yield running
    except registry.RegistryMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory):
    """A registry that asks for a login (``alice``, ``pass:word``), with the image ``small``."""
    folder = tmp_path_factory.mktemp("locked")
    try:
        with registry.running(folder, username="alice", password="pass:word") as running:
            running.push("small", registry.small_archive(tmp_path_factory.mktemp("image") / "small.tar"))
            yield running
    except registry.RegistryMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def engine_of(request, tmp_path_factory):
    """Makes the engine of a kind, once; Podman and Docker take plain HTTP from both registries."""
    made = {}
    with contextlib.ExitStack() as stack:

        def get(kind):
            if kind not in made:
                made[kind] = make(kind)
                stack.callback(made[kind].close)
            return made[kind]

        def make(kind):
            if kind == "process":
                from reconciler.engines.process.process_engine import ProcessEngine  # noqa: PLC0415

                return ProcessEngine(tmp_path_factory.mktemp("process"))
            open_, locked = request.getfixturevalue("loopback"), request.getfixturevalue("locked_registry")
            try:
                if kind == "podman":
                    from reconciler.engines.podman.podman_engine import PodmanEngine  # noqa: PLC0415

                    folder = tmp_path_factory.mktemp("podman")
                    return PodmanEngine(stack.enter_context(registry.podman_service(folder, open_, locked)))
                from reconciler.engines.docker.docker_engine import DockerEngine  # noqa: PLC0415

                stack.enter_context(engines.using_engines())
                return DockerEngine(engines.ensure_engine("docker"))
            except (engines.EngineMissing, registry.RegistryMissing) as missing:
                pytest.skip(str(missing))

        yield get


@pytest.fixture(params=["podman", "docker"])
def engine(request, engine_of):
    """An engine that pulls."""
    return engine_of(request.param)


@pytest.fixture(params=["podman", "docker", "process"])
def any_engine(request, engine_of):
    """Every engine."""
    return engine_of(request.param)


@pytest.fixture(scope="session")
def image_of(loopback):
    """Has the small image in an engine's store, once; gone at the end."""
    image = loopback.image("small")
    pulled = []

    def get(engine):
        if engine.name != "process" and engine not in pulled:
            engine.pull_image(image, auth=None, progress=lambda _: None)
            pulled.append(engine)
        return image

    yield get
    for engine in pulled:
        engine._http.call("DELETE", f"/images/{image}", "remove the image", params={"force": "true"})


@pytest.fixture
def small_image(engine, image_of):
    return image_of(engine)


@pytest.fixture
def container(any_engine, image_of):
    """Makes containers that run a shell script; removed at the end."""
    label = {LABEL: uuid.uuid4().hex}

    def make(script):
        spec = ContainerSpec(
            name=f"controller-{uuid.uuid4().hex[:10]}",
            image=image_of(any_engine),
            labels=label,
            entrypoint=("sh", "-c", script),
            host_network=True,
        )
        return any_engine.create_container(spec)

    yield make
    for left in any_engine.list_containers(label):
        any_engine.remove_container(left.id)
