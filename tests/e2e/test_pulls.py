"""Pull policies against a real registry on loopback, on Podman and on Docker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support import registry as registries
from tests.support.manifests import runtime, shell
from tests.support.registry import Registry
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    try:
        with registries.running(tmp_path / "registry") as one:
            yield one
    except registries.RegistryMissing as error:
        pytest.skip(str(error))


@pytest.fixture(params=["podman", "docker"])
def pulling(
    request: pytest.FixtureRequest, make_workspace: Any, registry: Registry, tmp_path: Path
) -> Iterator[Workspace]:
    """A workspace on an engine that takes plain HTTP from the registry."""
    with contextlib.ExitStack() as stack:
        url = ""
        if request.param == "podman":
            url = stack.enter_context(registries.podman_service(tmp_path / "podman", registry))
        workspace = make_workspace(request.param, image=None, url=url)
        yield workspace
        workspace.clean()
        with workspace.api() as client:
            for image in client.images.list(all=True):
                for tag in image.tags:
                    if tag.startswith(registry.host):
                        client.images.remove(tag, force=True)


def _push(registry: Registry, tmp_path: Path, name: str, word: str) -> str:
    archive = registries.small_archive(tmp_path / f"{name}-{word}.tar", {"etc/word": word.encode()})
    return registry.push(name, archive, cmd=("sh",))


def _run(workspace: Workspace, image: str, policy: str, *, file: str) -> tuple[int, str]:
    job = unique("pull")
    workspace.settings["PULL_POLICY"] = policy
    workspace.write(file, runtime("rt-" + job, image), shell(job, "rt-" + job, "cat /etc/word"))
    done = workspace.cli("run", "--wait", timeout=60)
    return done.returncode, workspace.log(job, 0)


@pytest.mark.one_engine
def test_if_not_present_pulls_once(pulling: Workspace, registry: Registry, tmp_path: Path) -> None:
    image = _push(registry, tmp_path, "once", "one")

    first = _run(pulling, image, "IfNotPresent", file="a.yaml")
    _push(registry, tmp_path, "once", "two")
    second = _run(pulling, image, "IfNotPresent", file="b.yaml")

    assert first == second == (0, "one")


def test_always_takes_what_the_registry_has_now(
    pulling: Workspace, registry: Registry, tmp_path: Path
) -> None:
    image = _push(registry, tmp_path, "fresh", "one")

    first = _run(pulling, image, "Always", file="a.yaml")
    _push(registry, tmp_path, "fresh", "two")
    second = _run(pulling, image, "Always", file="b.yaml")

    assert first == (0, "one")
    assert second == (0, "two")


@pytest.mark.one_engine
def test_never_asks_no_registry(pulling: Workspace, registry: Registry, tmp_path: Path) -> None:
    image = _push(registry, tmp_path, "unasked", "one")
    job = unique("never")
    pulling.settings["PULL_POLICY"] = "Never"
    pulling.write("j.yaml", runtime("rt", image), shell(job, "rt", "true"))

    with pulling.daemon():
        eventually(lambda: "Never" in pulling.said(job), "the policy is named")

    with pulling.api() as client, pytest.raises(docker.errors.ImageNotFound):
        client.images.get(image)


@pytest.mark.one_engine
def test_the_manifests_own_policy_wins(pulling: Workspace, registry: Registry, tmp_path: Path) -> None:
    image = _push(registry, tmp_path, "own", "one")
    job = unique("own")
    pulling.settings["PULL_POLICY"] = "Never"
    container = {"imagePullPolicy": "IfNotPresent"}
    pulling.write("j.yaml", runtime("rt", image, container=container), shell(job, "rt", "cat /etc/word"))

    done = pulling.cli("run", "--wait", timeout=60)

    assert (done.returncode, pulling.log(job, 0)) == (0, "one"), done.stderr[-2000:]


def test_a_pull_that_fails_says_image_registry_and_reason(pulling: Workspace, registry: Registry) -> None:
    image = registry.image("no-such-repository", "1")
    job = unique("nopull")
    pulling.write("j.yaml", runtime("rt", image), shell(job, "rt", "true"))

    with pulling.daemon():
        eventually(lambda: image in pulling.said(job), "the image is named")

        assert registry.host in pulling.said(job)
        assert "unknown" in pulling.said(job) or "not found" in pulling.said(job)
        assert pulling.phase(job) in {"Pulling", "Pending"}


@pytest.mark.one_engine
def test_an_image_that_appears_later_is_pulled_on_a_retry(
    pulling: Workspace, registry: Registry, tmp_path: Path
) -> None:
    image = registry.image("late")
    job = unique("late")
    pulling.write("j.yaml", runtime("rt", image), shell(job, "rt", "cat /etc/word"))

    with pulling.daemon():
        eventually(lambda: image in pulling.said(job), "the first pull has failed")
        _push(registry, tmp_path, "late", "here")
        pulling.until_phase(job, "Complete", seconds=90)

    assert pulling.log(job, 0) == "here"
