"""Calls of an engine that does not come to an end: given up when their time is up, and their connection with them."""

from __future__ import annotations

import time

import pytest

from reconciler.engines.http.http_engine import HttpEngine
from reconciler.errors import EngineError
from tests.support.benches import Bench
from tests.support.proxies import Exchange, Fault, FaultyEngine, delay, drip, hang

pytestmark = pytest.mark.engine

LIMIT = 0.5
#: Longer than any busy machine takes, and far shorter than the dripping would.
AT_MOST = 20.0


def _without_length(exchange: Exchange) -> None:
    """A body that ends with its connection, and does not end: its end must not look like one."""
    exchange.ask()
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[]")
    exchange.wait(60)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(hang(), id="no answer"),
        pytest.param(delay(30.0), id="late"),
        pytest.param(drip(0.2), id="body drips"),
        pytest.param(drip(0.2, head=True), id="head drips"),
        pytest.param(_without_length, id="body without end"),
    ],
)
def test_a_call_has_a_limit_for_head_and_body(
    containers: Bench, faulty_engine: FaultyEngine, fault: Fault
) -> None:
    between = faulty_engine(containers)
    engine = containers.engine
    assert isinstance(engine, HttpEngine)
    engine.list_networks(containers.labels)
    between.on("GET", "/networks", fault, times=1)

    begun = time.monotonic()
    with pytest.raises(EngineError, match=r"took longer than .* to list networks"):
        engine._http.call("GET", f"/networks{engine._json_suffix}", "list networks", seconds=LIMIT)
    assert time.monotonic() - begun < AT_MOST

    # The next call gets an answer of its own.
    assert engine.list_networks(containers.labels) == []
    assert engine.list_containers(containers.labels) == []


def test_calls_within_their_limit_keep_their_connection(
    containers: Bench, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    between.on("GET", "/networks", delay(0.3))
    engine = containers.engine
    assert isinstance(engine, HttpEngine)

    def look() -> int:
        engine._http.call("GET", f"/networks{engine._json_suffix}", "list networks", seconds=AT_MOST)
        return between.connections

    first = look()

    assert [look(), look()] == [first, first]
