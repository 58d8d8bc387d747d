"""Output of containers: complete, followed from before the start, closable from another thread."""

from __future__ import annotations

import threading

import pytest

from tests.support.benches import DEADLINE, Bench, Following, eventually

pytestmark = pytest.mark.engine


def test_stdout_and_stderr_are_complete(bench: Bench) -> None:
    container = bench.start(script="echo out; echo err >&2; printf 'no line end'")
    bench.ended(container)

    output = bench.output(container)

    assert sorted(output.replace("no line end", "").split()) == ["err", "out"]
    assert "no line end" in output


def test_bytes_are_not_decoded(bench: Bench) -> None:
    if bench.engine.name == "docker":
        pytest.skip("Docker's json-file log keeps text, not bytes")
    container = bench.start(script=r"printf '\377\376 f\303\274r\n'")
    bench.ended(container)

    assert b"".join(bench.engine.logs(container, follow=False)) == b"\xff\xfe f\xc3\xbcr\n"


def test_tail_returns_the_last_lines(bench: Bench) -> None:
    container = bench.start(script="seq 100")
    bench.ended(container)

    tail = b"".join(bench.engine.logs(container, follow=False, tail=3))

    assert tail.decode().split() == ["98", "99", "100"]


def test_a_created_container_has_no_output(bench: Bench) -> None:
    container = bench.create(script="echo x")

    assert bench.output(container) == ""


def test_following_begins_before_the_start_and_ends_with_the_container(bench: Bench) -> None:
    container = bench.create(script="echo first; sleep 0.3; echo last")
    following = bench.following(container)

    bench.engine.start_container(container)

    assert following.ends().split() == ["first", "last"]


def test_following_sees_a_start_by_another_client(containers: Bench) -> None:
    container = containers.create(script="echo here")
    following = containers.following(container)
    other = type(containers.engine)(containers.engine.url)  # type: ignore[attr-defined, call-arg]

    other.start_container(container)
    other.close()

    assert following.ends() == "here\n"


def test_following_yields_output_as_it_comes(bench: Bench) -> None:
    container = bench.start(script="echo one; while ! test -e go; do sleep 0.05; done; echo two")
    following = bench.following(container)

    following.has("one")
    assert "two" not in following.text
    bench.engine.exec(container, ("sh", "-c", "touch go"), timeout=20)

    assert following.ends().split() == ["one", "two"]
    bench.engine.remove_container(container)


def test_following_an_exited_container_yields_all_and_ends(bench: Bench) -> None:
    container = bench.start(script="seq 1000")
    bench.ended(container)

    following = bench.following(container)

    assert following.ends().split() == [str(number) for number in range(1, 1001)]


def test_a_lot_of_output_is_complete(bench: Bench) -> None:
    container = bench.create(script="seq 200000")
    following = bench.following(container)

    bench.engine.start_container(container)

    lines = following.ends().split()
    assert len(lines) == 200000
    assert lines[-1] == "200000"


def test_many_short_containers_lose_nothing(bench: Bench) -> None:
    followers: list[Following] = []
    for index in range(8):
        container = bench.create(f"c{index}", f"echo line {index}")
        followers.append(bench.following(container))
        bench.engine.start_container(container)

    assert [follower.ends() for follower in followers] == [f"line {index}\n" for index in range(8)]


@pytest.mark.parametrize("started", [False, True])
def test_a_follower_can_be_closed_from_another_thread(bench: Bench, started: bool) -> None:
    container = bench.create(script="echo ready; exec sleep 60")
    following = bench.following(container)
    if started:
        bench.engine.start_container(container)
        following.has("ready")

    following.stream.close()

    following.thread.join(DEADLINE)
    assert not following.thread.is_alive()


def test_a_follower_ends_when_its_container_is_removed(bench: Bench) -> None:
    container = bench.start(script="echo ready; exec sleep 60")
    following = bench.following(container)
    following.has("ready")

    bench.engine.remove_container(container)

    assert following.ends() == "ready\n"


def test_followers_do_not_block_other_calls(bench: Bench) -> None:
    container = bench.start(script="exec sleep 60")
    before = threading.active_count()
    for _ in range(4):
        bench.following(container)

    assert bench.engine.list_containers(bench.labels)
    bench.engine.stop_container(container, 1)

    eventually(lambda: threading.active_count() <= before, what="the followers' end")
