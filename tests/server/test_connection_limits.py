"""Limits counted at accept, with time limits so long that nothing else closes a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from reconciler.server.asgi.connection_limits import Client, ConnectionLimits, ConnectionTable
from tests.server.conftest import Wire
from tests.server.test_http_server import post


@pytest.fixture
def limits() -> ConnectionLimits:
    return ConnectionLimits(read=60, write=60, idle=60, connections=8, per_listener=6, per_peer=4)


def is_closed(wire: Wire) -> bool:
    try:
        return wire.socket.recv(10) == b""
    except ConnectionError:
        return True


def test_connection_beyond_the_limit_closes_the_longest_idle_one(dial, limits):
    wires = [dial() for _ in range(limits.per_peer)]
    # The oldest connection becomes the one that has been idle for the shortest time.
    for wire in (wires[1], *wires[2:], wires[0]):
        wire.send(post("/echo/a"))
        assert wire.answer()[0] == 200

    last = dial()

    assert is_closed(wires[1])
    for wire in (wires[0], last):
        wire.send(post("/echo/a"))
        assert wire.answer()[0] == 200


def drip(wire: Wire) -> None:
    """A request that has begun and will not end soon."""
    wire.send("POST /echo/a HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 9\n\n")
    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100")


def test_requests_that_never_end_make_room_for_a_new_one(dial, limits):
    dripping = [dial() for _ in range(limits.per_peer)]
    for wire in dripping:
        drip(wire)

    for _ in range(3):
        honest = dial()
        honest.send(post("/echo/a"))
        assert honest.answer()[0] == 200

    assert is_closed(dripping[0])


class Crowd:
    """Connections that are in a table and at nothing in particular."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.table = ConnectionTable(limits)
        self.loop = asyncio.new_event_loop()

    def add(self, peer: str, listener: str = "a", *, state: str = "receiving") -> tuple[asyncio.Task, Client]:
        client = Client(peer, listener)
        {"idle": client.set_idle, "receiving": client.set_receiving, "answering": client.set_answering}[
            state
        ]()
        task = self.loop.create_task(asyncio.sleep(3600))
        self.table.add(task, client)
        return task, client

    def is_let_in(self, peer: str, listener: str = "a") -> bool:
        return self.table.make_room(peer, listener)


@pytest.fixture
def crowd(limits) -> Iterator[Crowd]:
    made = Crowd(limits)
    yield made
    tasks = asyncio.all_tasks(made.loop)
    for task in tasks:
        task.cancel()
    made.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    made.loop.close()


def is_chosen(task: asyncio.Task) -> bool:
    return bool(task.cancelling())


def test_a_connection_is_refused_where_all_of_its_address_are_being_answered(crowd, limits):
    for _ in range(limits.per_peer):
        crowd.add("10.0.0.1", state="answering")

    assert not crowd.is_let_in("10.0.0.1")
    assert crowd.is_let_in("10.0.0.2")


def test_an_idle_connection_makes_room_before_a_request_that_has_just_begun(crowd, limits):
    idle, _ = crowd.add("10.0.0.1", state="idle")
    for _ in range(limits.per_peer - 1):
        crowd.add("10.0.0.1")

    assert crowd.is_let_in("10.0.0.1")
    assert is_chosen(idle)


def test_a_request_that_drips_makes_room_before_an_idle_connection(crowd, limits):
    idle, _ = crowd.add("10.0.0.1", state="idle")
    slow, client = crowd.add("10.0.0.1")
    client.receiving_since -= 5
    for _ in range(limits.per_peer - 2):
        crowd.add("10.0.0.1")

    assert crowd.is_let_in("10.0.0.1")
    assert is_chosen(slow)
    assert not is_chosen(idle)


def test_many_containers_of_one_job_take_no_place_of_another_job(crowd, limits):
    """They have an address each, so the limit of an address does not hold them."""
    hostile = [crowd.add(f"10.0.0.{number}")[0] for number in range(limits.per_listener)]

    for _ in range(3):
        assert crowd.is_let_in("10.0.0.99", "a")
        crowd.add("10.0.0.99", "a")
    assert len(crowd.table) == limits.per_listener
    assert any(map(is_chosen, hostile))

    honest, _ = crowd.add("10.9.0.2", "b", state="idle")
    while len(crowd.table) < limits.connections:
        crowd.add("10.0.0.7", "a")
    assert crowd.is_let_in("10.9.0.3", "b")
    assert not is_chosen(honest)


def test_connection_in_its_handshake_outlives_those_that_only_wait(crowd, limits):
    handshaking = Client("1", "a")
    crowd.table.add(task := crowd.loop.create_task(asyncio.sleep(3600)), handshaking)
    idle = [crowd.add("1", state="idle")[0] for _ in range(limits.per_peer - 1)]

    assert crowd.is_let_in("1")

    crowd.loop.run_until_complete(asyncio.sleep(0))
    assert idle[0].cancelled()
    assert not task.cancelled()
