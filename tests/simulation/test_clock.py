"""A clock that is set, by hand, by NTP or over a reboot: what counts time counts the time that has passed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.faults import Injector, Point, Side
from tests.simulation.manifests import job, runtime, step
from tests.simulation.scenarios import SCENARIOS, Scenario, differences, undisturbed
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.world import ContainerBehaviour

DAY = 86400.0
YEARS = 50 * 365 * DAY


@pytest.fixture
def host(ram_folder: Path) -> Iterator[SimulatedHost]:
    """A daemon over a runtime of one node whose containers never end by themselves."""
    with simulated_host(
        ram_folder, behaviour=lambda _container: ContainerBehaviour(duration=100 * DAY), auto_remove=False
    ) as made:
        made.apply(runtime("r", step("node", backoff=3), nodes=1))
        yield made


def _sets(host: SimulatedHost, number: int, by: float) -> Injector:
    def inject(point: Point, side: Side) -> None:
        if point.number == number and side == "before":
            host.set_clock(by)

    return inject


@pytest.mark.parametrize("by", [DAY, -DAY, 20.0, -20.0])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_clock_set_at_any_point_changes_nothing_in_the_end(
    scenario: Scenario, by: float, ram_folder: Path
) -> None:
    oracle, points = undisturbed(ram_folder / "oracle", scenario)
    wrong: list[str] = []
    for point in points:
        with simulated_host(ram_folder / str(point.number), behaviour=scenario.behaviour) as host:
            found = differences(host, scenario, oracle, _sets(host, point.number, by))
            wrong += [f"set before {point}: {one}" for one in found]
    assert not wrong, f"{len(wrong)} differences over {len(points)} points:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("down", [False, True], ids=["while-it-runs", "while-it-is-down"])
@pytest.mark.parametrize("by", [DAY, -DAY, 30.0, -30.0])
def test_a_deadline_counts_the_time_that_has_passed(host: SimulatedHost, by: float, down: bool) -> None:
    host.apply(job("demo", "r", activeDeadlineSeconds=600))
    host.run(100)

    _set(host, by, down=down)

    host.run(490)
    assert host.running() == {"demo-node-0"}
    host.run(20)
    assert _ending(host) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize("down", [False, True], ids=["while-it-runs", "while-it-is-down"])
@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_backoff_counts_the_time_that_has_passed(host: SimulatedHost, by: float, down: bool) -> None:
    host.apply(job("demo", "r"))
    host.run(1)
    host.world.end(host.container("demo-node-0"), 1)
    host.run(4)

    _set(host, by, down=down)

    host.run(5)
    assert not host.running()
    host.run(2)
    assert host.running() == {"demo-node-0"}


@pytest.mark.parametrize("down", [False, True], ids=["while-it-runs", "while-it-is-down"])
@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_time_to_live_counts_the_time_that_has_passed(host: SimulatedHost, by: float, down: bool) -> None:
    template = runtime("r", step("node"), nodes=1, ttlSecondsAfterFinished=600)
    host.apply(template)
    host.apply(job("demo", "r"))
    host.run(1)
    host.world.end(host.container("demo-node-0"), 0)
    host.run(100)
    ended = host.status("demo")["status"]["completionTime"]

    _set(host, by, down=down)

    host.run(490)
    assert [container.name for container in host.owned_containers()] == ["demo-node-0"]
    host.run(20)
    assert not host.owned_containers()
    assert host.status("demo")["status"]["completionTime"] == ended


def test_statuses_are_written_while_the_clock_stands_back(host: SimulatedHost) -> None:
    host.apply(job("demo", "r"))
    host.run(1)
    host.set_clock(-DAY)
    host.world.end(host.container("demo-node-0"), 0)
    host.run(1)
    assert host.status("demo")["status"]["phase"] == "Complete"


def test_after_a_reboot_without_a_clock_and_ntp_jobs_go_on_as_if_nothing_was(host: SimulatedHost) -> None:
    host.apply(job("demo", "r", activeDeadlineSeconds=600))
    host.run(100)

    host.world.reboot()
    host.set_clock(-YEARS)
    host.start_daemon()
    host.run(15)
    assert host.running() == {"demo-node-0"}, "the back-off of a container that ended at no fault of its own"
    host.set_clock(YEARS)

    host.run(480)
    assert host.running() == {"demo-node-0"}
    # What had passed before the reboot since the record was last changed is lost to the deadline.
    host.run(120)
    assert _ending(host) == ("Failed", "DeadlineExceeded")


def test_the_time_a_host_was_off_counts_as_on_a_cluster(host: SimulatedHost) -> None:
    host.apply(job("demo", "r", activeDeadlineSeconds=600))
    host.run(100)
    host.world.reboot()
    host.world.now += 3600
    host.start_daemon()
    host.run(1)
    assert _ending(host) == ("Failed", "DeadlineExceeded")


def _set(host: SimulatedHost, by: float, *, down: bool) -> None:
    host.set_clock(by)
    if down:
        host.start_daemon()


def _ending(host: SimulatedHost) -> tuple[Any, Any]:
    record = host.record("demo")
    assert record is not None
    ended = [(c.type, c.reason) for c in record.conditions if c.type in {"Complete", "Failed"}]
    return ended[-1] if ended else ("", "")
