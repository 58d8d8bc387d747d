"""How much one run covers: what every change is checked with, or everything on every engine.

A rule that the engine has no part in (when a job restarts, what is pruned) runs on one engine, marked
``one_engine``; what an engine does is held on each by ``tests/engines``, and by whole jobs. ``make test-long``
runs all of it on each, and walks further.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Final

import pytest

#: Set by ``make test-long``, and for the tests that are run again as an ordinary user.
LONG: Final = os.environ.get("RECONCILER_TEST_LONG", "") not in {"", "0"}
CONTAINER_ENGINES: Final = ("podman", "docker")


def drop_other_engines(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Returns the tests to run and those to leave out: of those marked ``one_engine`` one container engine's.

    The test's name decides between Podman and Docker, so that both get their half and every process of one
    run chooses alike. What a test has for processes is run: it is quick.
    """
    kept, dropped = [], []
    for item in items:
        (dropped if _is_of_the_other_engine(item) else kept).append(item)
    return kept, dropped


def _is_of_the_other_engine(item: pytest.Item) -> bool:
    if item.get_closest_marker("one_engine") is None:
        return False
    name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
    other = CONTAINER_ENGINES[zlib.crc32(name.encode()) % len(CONTAINER_ENGINES)]
    callspec = getattr(item, "callspec", None)
    return callspec is not None and other in [v for v in callspec.params.values() if isinstance(v, str)]
