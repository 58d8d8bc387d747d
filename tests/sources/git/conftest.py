"""A repository that a :class:`GitSource` syncs with."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.git.git_source import GitSource
from tests.support.manifests import runtime, trainjob
from tests.support.repositories import Repository


class SyncedRepository:
    """A repository with one commit (a runtime and the job ``a``), and a source that syncs with it."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.repository.put("specs/rt.yaml", runtime("rt", "image"))
        self.repository.put("specs/a.yaml", trainjob("a", "rt"))
        self.first = self.repository.commit()
        self.settings = Settings(
            git=parse_url(self.repository.url), git_path="specs", state_dir=folder / "state", git_interval=1
        )
        self.source = self.make()

    def make(self, **changes) -> GitSource:
        """A new source, as a restarted daemon has it; ``changes`` of the settings."""
        self.settings = dataclasses.replace(self.settings, **changes)
        self.source = GitSource(self.settings, runtimes=lambda: (), clock=time.time)
        return self.source

    def sync(self):
        return self.source.sync()

    def jobs(self) -> set[str]:
        """Names of the jobs in force."""
        catalog = FolderSource(self.settings.specs).scan(grace=False)
        return {key.partition("/")[2] for key in catalog.jobs}

    def assert_rejected(self, reason: str, words: str) -> None:
        """The next sync fails for this reason and leaves the first commit in force."""
        state = self.sync()

        assert (state.ready, state.reason, state.revision) == (False, reason, self.first)
        assert words in state.message
        assert "stays in force" in state.message
        assert self.jobs() == {"a"}


@pytest.fixture
def synced(tmp_path: Path) -> SyncedRepository:
    return SyncedRepository(tmp_path)
