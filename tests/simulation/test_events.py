"""Every event lost, doubled, or late behind its followers: a resync makes up for what no event told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.engines.protocol import EngineEvent
from tests.simulation.scenarios import SCENARIOS, Scenario, end_state, undisturbed
from tests.simulation.simulated_host import SimulatedHost, simulated_host


class Messenger:
    """Delivers events, all but one as they come.

    Args:
        host: whose events.
        number: of the one event that is treated otherwise.
        how: ``lost``, ``doubled``, or ``late`` (ten seconds).
    """

    def __init__(self, host: SimulatedHost, number: int, how: str) -> None:
        self.seen = 0
        self._host = host
        self._number = number
        self._how = how
        self._late: list[tuple[float, EngineEvent]] = []

    def deliver(self) -> None:
        """Replaces the host's own delivery."""
        world = self._host.world
        events, world.events = world.events, []
        due = [e for at, e in self._late if at <= world.now]
        self._late = [(at, e) for at, e in self._late if at > world.now]
        for event in events:
            number, self.seen = self.seen, self.seen + 1
            if number != self._number:
                due.append(event)
            elif self._how == "doubled":
                due += [event, event]
            elif self._how == "late":
                self._late.append((world.now + 10, event))
        for event in due:
            self._host.controller.informer.handle_event(event.labels)


@pytest.mark.parametrize("how", ["lost", "doubled", "late"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_no_single_event_is_needed(scenario: Scenario, how: str, ram_folder: Path) -> None:
    oracle, _ = undisturbed(ram_folder / "oracle", scenario)
    wrong: list[str] = []
    number, seen = 0, 1
    while number < seen:
        found, seen = _play(ram_folder / str(number), scenario, number, how)
        wrong += [
            f"event {number} {how}: {k} is {v!r}, not {oracle[k]!r}"
            for k, v in found.items()
            if v != oracle[k]
        ]
        number += 1
    assert seen > 1
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_without_any_event_a_resync_finds_everything(scenario: Scenario, ram_folder: Path) -> None:
    oracle, _ = undisturbed(ram_folder / "oracle", scenario)
    with simulated_host(ram_folder / "deaf", behaviour=scenario.behaviour) as host:
        host.deliver_events = host.world.events.clear
        scenario.before(host)
        scenario.act(host)
        host.run(scenario.after)
        host.check_at_rest()
        assert end_state(host) == oracle


def _play(folder: Path, scenario: Scenario, number: int, how: str) -> tuple[dict[str, Any], int]:
    with simulated_host(folder, behaviour=scenario.behaviour) as host:
        scenario.before(host)
        messenger = Messenger(host, number, how)
        host.deliver_events = messenger.deliver
        scenario.act(host)
        host.run(scenario.after)
        host.check_at_rest()
        return end_state(host), messenger.seen
