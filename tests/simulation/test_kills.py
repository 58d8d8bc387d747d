"""A kill before and after every engine call and file write; the oracle is the run that nobody disturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.simulation.faults import Killed, Point, Side, once
from tests.simulation.scenarios import PODS, SCENARIOS, Scenario, differences, undisturbed
from tests.simulation.simulated_host import simulated_host


@pytest.mark.parametrize("scenario", [*SCENARIOS, PODS], ids=str)
def test_a_kill_at_any_point_changes_nothing_in_the_end(scenario: Scenario, ram_folder: Path) -> None:
    oracle, points = undisturbed(ram_folder / "oracle", scenario)
    wrong: list[str] = []
    for point in points:
        for side in ("before", "after"):
            folder = ram_folder / f"{point.number}-{side}"
            wrong += _differences(folder, scenario, point, side, oracle)
    assert not wrong, f"{len(wrong)} of {2 * len(points)} kills end otherwise:\n" + "\n".join(wrong[:10])


def _differences(
    folder: Path, scenario: Scenario, point: Point, side: Side, oracle: dict[str, Any]
) -> list[str]:
    with simulated_host(folder, behaviour=scenario.behaviour) as host:
        found = differences(host, scenario, oracle, once(point.number, side, Killed))
        assert host.kills == 1, f"nothing was killed {side} {point}"
        return [f"killed {side} {point}: {one}" for one in found]
