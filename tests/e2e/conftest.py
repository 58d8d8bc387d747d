"""Workspaces on each engine. Engines that can't be had on this machine skip, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import engines, images
from tests.support.workspaces import Workspace

MakeWorkspace = Callable[[str], Workspace]


@pytest.fixture(scope="session")
def _engines() -> Iterator[None]:
    with engines.using_engines():
        yield


@pytest.fixture
def make_workspace(_engines: None, tmp_path: Path) -> Iterator[MakeWorkspace]:
    """Makes a workspace on an engine; what it leaves there is removed at the end, also after a failure."""
    made: list[Workspace] = []

    def make(engine: str, *, image: str | None = "base", url: str = "") -> Workspace:
        if engine != "process" and not url:
            url = _url(engine, image)
        workspace = Workspace(tmp_path / f"w{len(made)}", engine, url)
        made.append(workspace)
        return workspace

    yield make
    for workspace in made:
        workspace.clean()


def _url(engine: str, image: str | None) -> str:
    try:
        url = engines.ensure_engine(engine)
        if image:
            images.ensure_image(engine, image, url=url)
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(f"{engine}: {error}")
    return url


@pytest.fixture(params=["podman", "docker"])
def containers(request: pytest.FixtureRequest, make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on Podman, and on Docker."""
    return make_workspace(request.param)


@pytest.fixture(params=["podman", "docker", "process"])
def workspace(request: pytest.FixtureRequest, make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on each engine."""
    return make_workspace(request.param)


@pytest.fixture
def processes(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on the process engine: for what has nothing to do with an engine, it is the quickest."""
    return make_workspace("process")


@pytest.fixture
def podman(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on Podman, for what only Podman has."""
    return make_workspace("podman")


@pytest.fixture
def docker(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on Docker, for what only Docker has."""
    return make_workspace("docker")
