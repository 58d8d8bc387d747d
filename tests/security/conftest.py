"""The end-to-end tests' workspaces on each engine."""

from tests.e2e.conftest import (  # noqa: F401  (fixtures)
    _engines,
    containers,
    make_workspace,
    processes,
)
