"""Workspaces on each engine, as the end-to-end tests have them."""

from tests.e2e.conftest import (  # noqa: F401  (fixtures)
    _engines,
    containers,
    make_workspace,
    processes,
)
