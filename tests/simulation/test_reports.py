"""Reports of progress while everything breaks: what a pass has saved stays, and no other fact of the job changes."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import StateError
from tests.simulation.faults import Killed, once
from tests.simulation.manifests import job, runtime, step
from tests.simulation.scenarios import end_state
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.world import ContainerBehaviour

#: Longer than any test of these.
LONG = ContainerBehaviour(duration=1000)


def up(host: SimulatedHost) -> str:
    """A job that runs; its uid."""
    host.apply(runtime("r", step("node"), nodes=2))
    host.apply(job("demo", "r"))
    host.run(5)
    record = host.record("demo")
    assert record is not None
    return record.uid


def report(host: SimulatedHost, uid: str, percent: int) -> None:
    host.controller.progress_reports.put("default/demo", uid=uid, status={"progressPercentage": percent})


def told(host: SimulatedHost) -> tuple[object, object]:
    """What record and sidecar say."""
    host.flush()
    record = host.record("demo")
    assert record is not None
    return record.trainer_status, host.status("demo")["status"].get("trainerStatus", {})


def test_a_report_is_on_the_disk_after_the_next_pass_and_touches_nothing_else(ram_folder: Path) -> None:
    with simulated_host(ram_folder, behaviour=lambda _container: LONG) as host:
        uid, before = up(host), end_state(host)

        report(host, uid, 10)
        host.run(1)

        assert told(host) == ({"progressPercentage": 10}, {"progressPercentage": 10})
        assert end_state(host) == before
        host.check_at_rest()


def test_a_kill_at_any_point_loses_at_most_the_report_and_the_next_one_is_heard(ram_folder: Path) -> None:
    number, killed = 0, True
    while killed:
        killed = False
        for side in ("before", "after"):
            with simulated_host(ram_folder / f"{number}-{side}", behaviour=lambda _container: LONG) as host:
                uid, before = up(host), end_state(host)
                host.faults.count = 0
                host.faults.injector = once(number, side, Killed)  # type: ignore[arg-type]
                report(host, uid, 10)
                host.run(1)
                killed = killed or host.kills > 0
                host.faults.calm()
                host.run(60)
                recorded, shown = told(host)
                assert recorded == shown
                assert recorded in ({}, {"progressPercentage": 10}), f"killed {side} {number}"

                report(host, uid, 20)
                host.run(1)

                assert told(host) == ({"progressPercentage": 20}, {"progressPercentage": 20})
                assert end_state(host) == before
                host.check_at_rest()
        number += 1
    assert number > 3


def test_a_full_disk_delays_a_report_and_does_not_lose_it(ram_folder: Path) -> None:
    with simulated_host(ram_folder, behaviour=lambda _container: LONG) as host:
        uid = up(host)

        def full(point: object, side: str) -> None:
            if side == "before" and "write" in str(point):
                raise StateError("Cannot write: no space left on device.")

        host.faults.injector = full  # type: ignore[assignment]
        report(host, uid, 10)
        host.run(3)
        host.faults.calm()
        host.run(120)

        assert told(host) == ({"progressPercentage": 10}, {"progressPercentage": 10})


def test_the_last_report_before_the_end_is_kept_and_later_ones_are_taken_as_upstream_does(
    ram_folder: Path,
) -> None:
    with simulated_host(ram_folder, behaviour=lambda _container: ContainerBehaviour(duration=10)) as host:
        uid = up(host)
        host.advance(host.world.now + 6)  # both have ended, and nobody has looked
        report(host, uid, 100)
        host.run(60)
        first = told(host)

        report(host, uid, 99)
        host.run(5)

        assert host.status("demo")["status"]["phase"] == "Complete"
        assert first == ({"progressPercentage": 100}, {"progressPercentage": 100})
        assert told(host) == ({"progressPercentage": 99}, {"progressPercentage": 99})
        host.check_at_rest()


def test_a_report_for_a_job_that_was_deleted_or_run_again_is_dropped(ram_folder: Path) -> None:
    with simulated_host(ram_folder, behaviour=lambda _container: LONG) as host:
        up(host)

        report(host, "another life", 50)
        host.run(5)
        assert told(host) == ({}, {})

        uid = host.record("demo").uid  # type: ignore[union-attr]
        host.delete("demo.yaml")
        host.run(60)
        report(host, uid, 50)
        host.run(60)
        assert host.record("demo") is None
        host.check_at_rest()
