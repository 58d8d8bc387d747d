"""Every engine call x {error, busy, time-out after success, 404, 409, 500, engine gone}; the end is as if nothing was.

None of these is the container's own failure, so none may count against a job's policy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import Busy, Conflict, EngineError, EngineUnavailable, NotFound
from tests.simulation.faults import Point, Side, once
from tests.simulation.file_faults import full_disk
from tests.simulation.scenarios import SCENARIOS, Scenario, differences, undisturbed
from tests.simulation.simulated_host import simulated_host

FILES = {"write", "unlink", "rmtree"}
FAULTS: dict[str, tuple[Side, Callable[[], Exception]]] = {
    "error": ("before", lambda: EngineError("500: simulated")),
    "busy": ("before", lambda: Busy("busy: simulated")),
    "timed-out-after-success": ("after", lambda: EngineError("timed out: simulated")),
    "not-found": ("before", lambda: NotFound("404: simulated")),
    "conflict": ("before", lambda: Conflict("409: simulated")),
    "engine-gone": ("before", lambda: EngineUnavailable("connection refused: simulated")),
    "connection-cut-after-success": ("after", lambda: EngineUnavailable("connection reset: simulated")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_call_that_fails_once_changes_nothing_in_the_end(
    scenario: Scenario, fault: str, ram_folder: Path
) -> None:
    side, make = FAULTS[fault]
    oracle, points = undisturbed(ram_folder / "oracle", scenario)
    calls = [p for p in points if p.what not in FILES]
    wrong = [
        one
        for p in calls
        for one in _differences(ram_folder / str(p.number), scenario, p, side, make, oracle)
    ]
    assert not wrong, f"{len(wrong)} differences over {len(calls)} calls:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_full_disk_at_any_write_changes_nothing_in_the_end(scenario: Scenario, ram_folder: Path) -> None:
    oracle, points = undisturbed(ram_folder / "oracle", scenario)
    writes = [p for p in points if p.what == "write"]
    wrong = [
        one
        for p in writes
        for one in _differences(ram_folder / str(p.number), scenario, p, "before", full_disk, oracle)
    ]
    assert not wrong, f"{len(wrong)} differences over {len(writes)} writes:\n" + "\n".join(wrong[:10])


def _differences(  # noqa: PLR0917  (a test's own helper)
    folder: Path,
    scenario: Scenario,
    point: Point,
    side: Side,
    make: Callable[[], Exception],
    oracle: dict[str, Any],
) -> list[str]:
    with simulated_host(folder, behaviour=scenario.behaviour) as host:
        found = differences(host, scenario, oracle, once(point.number, side, make))
        return [f"{side} {point}: {one}" for one in found]
