"""A repository and a workspace that follows it, on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import _engines, _url
from tests.support.repositories import Followed, Repository

__all__ = ["Follow", "_engines", "follow", "repository"]

Follow = Callable[..., Followed]


@pytest.fixture
def follow(_engines: None, tmp_path: Path) -> Iterator[Follow]:
    """Makes a workspace that follows a URL; what it leaves on its engine is removed at the end."""
    made: list[Followed] = []

    def make(url: str, *, engine: str = "process", **settings: str) -> Followed:
        url_of_engine = "" if engine == "process" else _url(engine, "base")
        followed = Followed(tmp_path / f"w{len(made)}", engine, url_of_engine)
        followed.settings = {"GIT": url, "PATH": "specs", "INTERVAL": "0.5", **settings}
        made.append(followed)
        return followed

    yield make
    for followed in made:
        followed.clean()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path / "repository")
