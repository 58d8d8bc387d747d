"""A workspace on an engine of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.storms import Site
from tests.support import engines, images
from tests.support.private_engines import ADDRESSES, private_engine
from tests.support.workspaces import Workspace


@pytest.fixture(params=["podman", "docker"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A workspace on an engine that may be killed."""
    try:
        with private_engine(request.param) as engine:
            images.ensure_image(engine.kind, url=engine.url)
            workspace = Workspace(tmp_path / "w", engine.kind, engine.url)
            if engine.kind == "docker":
                workspace.settings["ADDRESS_POOL"] = ADDRESSES
            try:
                yield Site(workspace, engine)
            finally:
                workspace.clean()
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(f"{request.param}: {error}")
