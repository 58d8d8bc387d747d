"""Real engines with a small image out of a real registry on loopback, for the log keeper and the puller."""

import contextlib
import uuid

import pytest

from reconciler.engines.base import ContainerSpec
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


@pytest.fixture(scope="session", params=["podman", "docker"])
def engine(request, loopback, locked_registry, tmp_path_factory):
    """An engine that takes plain HTTP from both registries."""
    with contextlib.ExitStack() as stack:
        try:
            if request.param == "podman":
                from reconciler.engines.podman import PodmanEngine  # noqa: PLC0415

                folder = tmp_path_factory.mktemp("podman")
                made = PodmanEngine(
                    stack.enter_context(registry.podman_service(folder, loopback, locked_registry))
                )
            else:
                from reconciler.engines.docker import DockerEngine  # noqa: PLC0415

                stack.enter_context(engines.using_engines())
                made = DockerEngine(engines.ensure_engine("docker"))
        except (engines.EngineMissing, registry.RegistryMissing) as missing:
            pytest.skip(str(missing))
        stack.callback(made.close)
        yield made


@pytest.fixture(scope="session")
def small_image(engine, loopback):
    image = loopback.image("small")
    engine.pull_image(image, auth=None, progress=lambda _: None)
    yield image
    engine._http.call("DELETE", f"/images/{image}", "remove the image", params={"force": "true"})


@pytest.fixture
def container(engine, small_image):
    """Makes containers that run a shell script; removed at the end."""
    label = {LABEL: uuid.uuid4().hex}

    def make(script):
        spec = ContainerSpec(
            name=f"controller-{uuid.uuid4().hex[:10]}",
            image=small_image,
            labels=label,
            entrypoint=("sh", "-c", script),
            host_network=True,
        )
        return engine.create_container(spec)

    yield make
    for left in engine.list_containers(label):
        engine.remove_container(left.id)
