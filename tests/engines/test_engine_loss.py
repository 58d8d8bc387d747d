"""An engine that goes away and comes back: an error is never an empty list, and the same client goes on."""

from __future__ import annotations

import contextlib

import pytest

from reconciler.errors import Conflict, EngineError, EngineUnavailable
from tests.support.benches import Bench, eventually
from tests.support.proxies import FaultyEngine, Proxy

pytestmark = pytest.mark.engine


@pytest.fixture
def proxy(containers: Bench, faulty_engine: FaultyEngine) -> Proxy:
    """Between the bench's engine and the real one."""
    return faulty_engine(containers)


def test_a_listing_without_an_engine_is_an_error(containers: Bench, proxy: Proxy) -> None:
    containers.create(script="true")
    assert len(containers.engine.list_containers(containers.labels)) == 1

    proxy.cut()
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="does not answer at"):
            containers.engine.list_containers(containers.labels)
    proxy.mend()

    assert len(containers.engine.list_containers(containers.labels)) == 1


def test_event_streams_end_with_the_engine(containers: Bench, proxy: Proxy) -> None:
    container = containers.start(script="echo ready; sleep 60")
    containers.printed(container, "ready")
    events = containers.engine.events()

    proxy.cut()

    # It ends, in one way or the other: what came before counts for nothing.
    with contextlib.suppress(EngineError):
        list(events)
    proxy.mend()


def test_a_create_whose_response_is_lost_is_found_later(containers: Bench, proxy: Proxy) -> None:
    assert containers.engine.list_containers(containers.labels) == []
    proxy.cut_at("/containers/create")

    with pytest.raises(EngineUnavailable):
        containers.create(script="true")
    eventually(proxy.was_cut.is_set, what="the cut")
    proxy.mend()

    # Whether the engine got all of the request is chance; that there is one in the end is not.
    with contextlib.suppress(Conflict):
        containers.create(script="true")
    eventually(lambda: len(containers.engine.list_containers(containers.labels)) == 1, what="the container")
    with pytest.raises(Conflict):
        containers.create(script="true")
