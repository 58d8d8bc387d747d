"""Workspaces for what faults and attacks did to earlier versions, looked at from outside.

A folder for each kind. ``RECONCILER_TEST_PYTHON=/path/to/an/older/venv/bin/python`` runs a case against an older
version, which shows the fault.
"""

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


@pytest.fixture
def docker(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace on Docker, for what only Docker has."""
    return make_workspace("docker")
