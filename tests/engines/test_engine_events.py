"""Events of the engine: which come, when, and how a stream is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reconciler.engines.protocol import EngineEvent
from tests.support.benches import DEADLINE, Bench, eventually

pytestmark = pytest.mark.engine


def actions(seen: list[EngineEvent], name: str) -> list[str]:
    return [event.action for event in seen if event.kind == "container" and event.name == name]


def test_start_exit_and_removal_are_events(bench: Bench) -> None:
    with bench.events() as seen:
        container = bench.start(script="exit 3")
        bench.ended(container)
        bench.engine.remove_container(container)

        eventually(lambda: "remove" in actions(seen, bench.name("c")), what="the event of the removal")

    life = [action for action in actions(seen, bench.name("c")) if action in {"start", "die", "remove"}]
    assert life == ["start", "die", "remove"]


def test_events_carry_the_labels(bench: Bench) -> None:
    with bench.events() as seen:
        container = bench.start(script="true", labels={"reconciler-test/part": "a b=c"})
        bench.ended(container)
        eventually(lambda: "die" in actions(seen, bench.name("c")), what="the event of the end")

    died = next(event for event in seen if event.action == "die")
    assert died.labels.items() >= {**bench.labels, "reconciler-test/part": "a b=c"}.items()


def test_a_pause_is_an_event(containers: Bench) -> None:
    if not containers.can.pause:
        pytest.skip("under cgroup v1 an ordinary user's containers have no cgroup to be paused by")
    container = containers.start(script="sleep 60")
    containers.awaited(container, "running")
    with containers.events() as seen:
        containers.engine._http.call("POST", f"/containers/{container}/pause", "pause")  # type: ignore[attr-defined]
        containers.engine.unpause_container(container)
        eventually(lambda: "unpause" in actions(seen, containers.name("c")), what="the event of going on")

    assert [a for a in actions(seen, containers.name("c")) if a in {"pause", "unpause"}] == [
        "pause",
        "unpause",
    ]


def test_a_quiet_stream_can_be_closed(bench: Bench) -> None:
    stream = bench.engine.events()
    thread = threading.Thread(target=lambda: list(stream), daemon=True)
    thread.start()

    stream.close()

    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_two_streams_have_the_same_events(bench: Bench) -> None:
    with bench.events() as one, bench.events() as other:
        container = bench.start(script="true")
        bench.ended(container)

        for seen in (one, other):
            eventually(lambda seen=seen: "die" in actions(seen, bench.name("c")), what="the event of the end")  # type: ignore[misc]


def test_a_listing_after_an_exit_event_has_the_exit(bench: Bench) -> None:
    with bench.events() as seen:
        for number in range(5):
            container = bench.start(f"end{number}", "exit 3")
            name = bench.name(f"end{number}")
            eventually(lambda name=name: any(e.name == name and e.action == "die" for e in seen), what="end")  # type: ignore[misc]

            state = bench.state(container)

            assert state.state == "exited"
            assert state.exit is not None
            assert state.exit.code == 3


def test_an_exit_is_an_event_from_conmon_too_where_the_output_is_followed(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("podman")
    heard = threading.Event()
    with bench.events() as seen:
        container = bench.start(script="echo here; sleep 2")
        stream = bench.engine.logs(container, follow=True)

        def follow() -> None:
            for _ in stream:
                heard.set()

        reader = threading.Thread(target=follow, daemon=True)
        reader.start()
        assert heard.wait(DEADLINE)

        # Podman tells of each end once, and later.
        eventually(lambda: actions(seen, bench.name("c")).count("die") == 2, what="both events of the end")

    died = next(event for event in seen if event.action == "die" and event.name == bench.name("c"))
    assert died.labels.items() >= bench.labels.items()
    reader.join(DEADLINE)
    assert not reader.is_alive()
