"""Answers of another shape than expected are errors of the engine, whichever call they come to; nothing is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.engines.http.calls.answer_shapes import WrongAnswer
from reconciler.engines.protocol import Engine
from reconciler.engines.specs import NetworkSpec, VolumeSpec
from reconciler.errors import EngineError, ImageError
from tests.support.benches import Bench, eventually
from tests.support.proxies import FaultyEngine, replace

pytestmark = pytest.mark.engine

#: Of no use as an answer to anything.
WRONG = [
    7,
    "text",
    [1, None],
    [[]],
    [{}],
    {"Id": None, "Name": None, "State": None},
    {"Volumes": {}, "Id": [], "name": 3, "ApiVersion": "new"},
    b"",
    b"<html>502 Bad Gateway</html>",
    b'{"Id": "abc',
    b'{"Id": NaN, "Name": Infinity}',
    b"[" * 200_000,
    b'[{"Id": "' + b"0" * 300 + b'", "State": ' + b"9" * 500 + b"}]",
    b'{"Id": "\\ud800", "Name": "\\ud800"}',
    b"\xff\xfe\x00",
]


def test_nothing_is_made_of_a_wrong_answer(containers: Bench, faulty_engine: FaultyEngine) -> None:
    container = containers.create(script="true")
    volume, network = containers.volume(), containers.network()
    between = faulty_engine(containers)
    engine: Engine = containers.engine
    labels = containers.labels
    engine.list_containers(labels)
    calls: dict[str, Callable[[], Any]] = {
        "info": engine.info,
        "list containers": lambda: engine.list_containers(labels),
        "list networks": lambda: engine.list_networks(labels),
        "list volumes": lambda: engine.list_volumes(labels),
        "inspect a container": lambda: engine.inspect_container(container),
        "inspect a network": lambda: engine.inspect_network(network.name),
        "look at an image": lambda: engine.image_user(containers.image),
        "exec": lambda: engine.exec(container, ("true",), timeout=5),
    }

    for answer in WRONG:
        between.on("GET", "/", replace(answer, done=False))
        between.on("POST", "/", replace(answer, done=False))
        for what, call in calls.items():
            with pytest.raises(WrongAnswer) as caught:
                call()
            assert len(caught.value.message) < 500, what
        between.clear()

    assert [c.id for c in engine.list_containers(labels)] == [container]
    assert [v.name for v in engine.list_volumes(labels)] == [volume]


@pytest.mark.parametrize("answer", [{}, [], [1, None], {"Id": None}, {"Id": "../x"}, b"no json"], ids=repr)
def test_what_was_created_unseen_is_found_later(
    containers: Bench, faulty_engine: FaultyEngine, answer: Any
) -> None:
    between = faulty_engine(containers)
    between.on("POST", "/create", replace(answer, status=201))
    engine = containers.engine

    for create in (
        lambda: containers.create(script="true"),
        lambda: engine.create_network(NetworkSpec(name=containers.name("n"), labels=containers.labels)),
        lambda: engine.create_volume(VolumeSpec(name=containers.name("v"), labels=containers.labels)),
    ):
        with pytest.raises(EngineError):
            create()
    between.clear()

    assert len(engine.list_containers(containers.labels)) == 1
    assert len(engine.list_networks(containers.labels)) == 1
    assert len(engine.list_volumes(containers.labels)) == 1


@pytest.mark.parametrize(
    "line", [b"{}", b"no json", b'{"Type": null}', b'{"Type": "container", "Actor": 1}', b"7"]
)
def test_an_event_that_cannot_be_read_ends_the_stream(
    containers: Bench, faulty_engine: FaultyEngine, line: bytes
) -> None:
    faulty_engine(containers).on("GET", "/events", replace(line + b"\n", done=False))

    with pytest.raises(WrongAnswer):
        list(containers.engine.events())


@pytest.mark.parametrize(
    "lines", [b"", b"{\n", b'{"error": {"code": 1}}\n', b'{"status": "x"}\n[]\n', b'{"progressDetail": 1}']
)
def test_a_pull_that_nobody_can_follow_has_failed(
    containers: Bench, faulty_engine: FaultyEngine, lines: bytes
) -> None:
    faulty_engine(containers).on("POST", "/images/", replace(lines, done=False))

    with pytest.raises(ImageError):
        containers.engine.pull_image("docker.io/library/none:1", auth=None, progress=lambda _: None)


@pytest.mark.parametrize(
    "body",
    [
        b"plain text, no frames",
        b"\x07\0\0\0\0\0\0\x01x",
        b"\x01\0\0\0\xff\xff\xff\xff",
        b"\x01\0\0\0\0\0\0\x09half",
    ],
)
def test_output_without_its_frames_is_no_output(
    containers: Bench, faulty_engine: FaultyEngine, body: bytes
) -> None:
    container = containers.start(script="sleep 60")
    between = faulty_engine(containers)
    between.on("POST", "/start", replace(body, done=False))

    with pytest.raises(EngineError, match=r"framed|middle"):
        containers.engine.exec(container, ("echo", "hello"), timeout=5)
    between.clear()
    containers.kill(container)
    eventually(lambda: containers.state(container).state == "exited", what="it ends")


def test_an_error_of_any_shape_is_an_error(containers: Bench, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    containers.engine.list_networks(containers.labels)
    for status in (302, 400, 404, 500, 503):
        for body in (
            b"",
            b"[]",
            b'{"message": null}',
            b'{"message": {"a": 1}}',
            b"[" * 100_000,
            b"\xff" * 10_000,
        ):
            between.on("GET", "/networks", replace(body, status=status, done=False))
            with pytest.raises(EngineError) as caught:
                containers.engine.list_networks(containers.labels)
            assert 0 < len(caught.value.message) < 20_000
            between.clear()
