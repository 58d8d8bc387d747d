"""The workspaces of the end-to-end tests, and what only tests of lifecycles need."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import (
    MakeWorkspace,
    _engines,
    containers,
    make_workspace,
    processes,
    workspace,
)
from tests.support.workspaces import Workspace

__all__ = ["MakeWorkspace", "_engines", "containers", "make_workspace", "processes", "workspace"]


@pytest.fixture
def podman(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on Podman, for what only Podman has."""
    return make_workspace("podman")
