"""Images from a real registry on loopback, and from none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.engines.protocol import PullProgress, RegistryAuth
from reconciler.errors import ImageError
from tests.support import registry as registries
from tests.support.benches import Bench
from tests.support.registry import Registry

pytestmark = pytest.mark.engine

Push = Callable[[Registry], str]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    try:
        with registries.running(tmp_path / "registry") as one:
            yield one
    except registries.RegistryMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def private_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry that requires credentials."""
    try:
        with registries.running(tmp_path / "private", username="u", password="p:w") as one:
            yield one
    except registries.RegistryMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def push(containers: Bench, tmp_path: Path) -> Iterator[Push]:
    """Pushes an image nobody has yet; it is removed from the engine afterwards."""
    pushed: list[str] = []

    def make(registry: Registry) -> str:
        name = f"rt-{uuid.uuid4().hex[:8]}"
        archive = registries.small_archive(tmp_path / f"{name}.tar", {"etc/word": name.encode()})
        pushed.append(registry.push(name, archive, cmd=("sh", "-c", "cat /etc/word")))
        return pushed[-1]

    yield make
    for container in containers.engine.list_containers(containers.labels):
        containers.engine.remove_container(container.id)
    for image in pushed:
        if containers.engine.image_exists(image):
            containers.engine._http.call("DELETE", f"/images/{image}", "remove an image")  # type: ignore[attr-defined]


def test_an_image_is_pulled_with_progress_and_runs(containers: Bench, registry: Registry, push: Push) -> None:
    image = push(registry)
    reported: list[PullProgress] = []
    assert not containers.engine.image_exists(image)

    containers.engine.pull_image(image, auth=None, progress=reported.append)

    assert containers.engine.image_exists(image)
    assert reported
    assert any(progress.message for progress in reported)
    assert all(0 <= progress.current <= progress.total or not progress.total for progress in reported)
    container = containers.engine.create_container(replace(containers.spec(), image=image))
    containers.engine.start_container(container)
    containers.ended(container)
    assert containers.output(container).startswith("rt-")


def test_credentials_open_a_private_registry(
    containers: Bench, private_registry: Registry, push: Push
) -> None:
    image = push(private_registry)

    containers.engine.pull_image(
        image, auth=RegistryAuth(username="u", password="p:w"), progress=lambda _: None
    )

    assert containers.engine.image_exists(image)


@pytest.mark.parametrize("auth", [None, RegistryAuth(username="u", password="wrong")])
def test_a_rejected_pull_names_image_registry_and_remedy(
    containers: Bench, private_registry: Registry, push: Push, auth: RegistryAuth | None
) -> None:
    image = push(private_registry)

    with pytest.raises(ImageError, match="refused access") as refused:
        containers.engine.pull_image(image, auth=auth, progress=lambda _: None)

    assert image in refused.value.message
    assert private_registry.host in refused.value.message
    assert "imagePullSecrets" in refused.value.remedy


def test_an_image_missing_in_the_registry(containers: Bench, registry: Registry) -> None:
    image = registry.image("no-such-image")

    with pytest.raises(ImageError, match="no such image") as refused:
        containers.engine.pull_image(image, auth=None, progress=lambda _: None)

    assert image in refused.value.message
    assert registry.host in refused.value.message


def test_a_registry_that_does_not_answer(containers: Bench) -> None:
    with pytest.raises(ImageError, match="does not answer") as refused:
        containers.engine.pull_image("127.0.0.1:1/x:1", auth=None, progress=lambda _: None)

    assert "127.0.0.1:1" in refused.value.message


def test_an_invalid_image_name(containers: Bench) -> None:
    with pytest.raises(ImageError, match="Not A Name"):
        containers.engine.pull_image("Not A Name", auth=None, progress=lambda _: None)


def test_credentials_are_never_shown() -> None:
    assert "secret" not in repr(RegistryAuth(username="secret", password="secret"))
