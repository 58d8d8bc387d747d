"""The workspaces of the end-to-end tests, and what only tests of lifecycles need."""

from __future__ import annotations

from tests.e2e.conftest import (
    MakeWorkspace,
    _engines,
    containers,
    make_workspace,
    podman,
    processes,
    workspace,
)

__all__ = ["MakeWorkspace", "_engines", "containers", "make_workspace", "podman", "processes", "workspace"]
