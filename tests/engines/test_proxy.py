"""The proxy that faults come from lets streams through: what a test finds behind it is the fault's work."""

from __future__ import annotations

import docker as docker_py
import pytest

from tests.support.benches import Bench, eventually
from tests.support.proxies import FaultyEngine, delay, hang, proxy

pytestmark = pytest.mark.engine


def test_streams_pass_as_they_come(containers: Bench, faulty_engine: FaultyEngine) -> None:
    faulty_engine(containers)

    with containers.events() as events:
        container = containers.start(script="echo first; sleep 60")
        following = containers.following(container)
        following.has("first")
        code, output = containers.engine.exec(container, ("sh", "-c", "echo inside; exit 3"), timeout=20)
        containers.kill(container)
        eventually(lambda: any(event.action == "die" for event in events), what="its end is told")

    assert (code, output) == (3, b"inside\n")
    assert following.ends() == "first\n"


def test_both_sides_may_speak_at_once(containers: Bench) -> None:
    container = containers.start(script="sleep 60")
    with proxy(containers.engine.url) as between:  # type: ignore[attr-defined]
        client = docker_py.DockerClient(base_url=between.url, timeout=30)
        started = client.api.exec_create(container, ["head", "-c", "5"], stdin=True)
        sock = client.api.exec_start(started["Id"], socket=True)
        sock._sock.sendall(b"hello")
        said = b""
        while b"hello" not in said:
            part = sock._sock.recv(4096)
            assert part, said
            said += part
        client.close()


def test_a_rule_strikes_its_requests_and_no_others(containers: Bench, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    rule = between.on("GET", "/networks", delay(0.3), nth=2, times=1)
    hung = between.on("GET", "/containers/json", hang(), mentions="nobody has this")

    for _ in range(3):
        containers.engine.list_networks(containers.labels)
        containers.engine.list_containers(containers.labels)

    assert (rule.matched, rule.struck.is_set(), hung.struck.is_set()) == (3, True, False)
    assert len(between.asked("GET", "/networks")) == 3
