"""Workspaces for what faults and attacks did to earlier versions, looked at from outside.

A folder for each kind. ``RECONCILER_TEST_PYTHON=/path/to/an/older/venv/bin/python`` runs a case against an older
version, which shows the fault.
"""

from __future__ import annotations

from tests.e2e.conftest import (
    MakeWorkspace,
    _engines,
    containers,
    docker,
    make_workspace,
    podman,
    processes,
    workspace,
)

__all__ = [
    "MakeWorkspace",
    "_engines",
    "containers",
    "docker",
    "make_workspace",
    "podman",
    "processes",
    "workspace",
]
