"""Networks: subnets, addresses that stay, names that resolve, names that are taken."""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.engines.specs import NetworkSpec
from reconciler.errors import Busy, Conflict, NotFound
from tests.support.benches import Bench, address

pytestmark = pytest.mark.engine


def test_a_network_has_subnet_and_labels(bench: Bench) -> None:
    made = bench.network()

    subnet = ipaddress.IPv4Network(made.subnet)
    assert subnet.num_addresses >= 4
    assert not made.gateway or ipaddress.IPv4Address(made.gateway) in subnet
    assert bench.engine.list_networks(bench.labels) == [made]
    found = bench.engine.inspect_network(made.name)
    assert (found.id, found.subnet, found.gateway) == (made.id, made.subnet, made.gateway)
    assert found.labels.items() >= bench.labels.items()


def test_a_network_has_room_for_min_addresses(bench: Bench) -> None:
    made = bench.network(min_addresses=600)

    assert ipaddress.IPv4Network(made.subnet).num_addresses >= 603


def test_networks_made_at_once_do_not_overlap(bench: Bench) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda index: bench.network(f"net{index}"), range(6)))

    subnets = [ipaddress.IPv4Network(network.subnet) for network in made]
    for index, one in enumerate(subnets):
        assert not any(one.overlaps(other) for other in subnets[index + 1 :])


def test_a_container_gets_the_specified_address(containers: Bench) -> None:
    network = containers.network()
    wanted = address(network, 5)

    printed = containers.run("cat /proc/net/fib_trie", network=network.name, address=wanted)

    assert wanted in printed


def test_inspect_reports_the_address(bench: Bench) -> None:
    network = bench.network()
    wanted = address(network, 1)
    container = bench.start(script="sleep 60", network=network.name, address=wanted)
    bench.awaited(container, "running")

    assert bench.engine.inspect_container(container).address == wanted


def test_an_address_is_free_after_the_removal(bench: Bench) -> None:
    network = bench.network()
    wanted = address(network, 0)
    for _ in range(2):
        container = bench.start(script="sleep 60", network=network.name, address=wanted)
        bench.awaited(container, "running")
        assert bench.engine.inspect_container(container).address == wanted
        bench.engine.remove_container(container)


def test_ranks_started_at_once_in_any_order_get_their_addresses(bench: Bench) -> None:
    network = bench.network(min_addresses=6)
    wanted = {f"n{index}": address(network, index) for index in range(6)}

    def start(suffix: str) -> str:
        return bench.start(suffix, "sleep 60", network=network.name, address=wanted[suffix])

    with ThreadPoolExecutor(4) as pool:
        ids = dict(zip(reversed(wanted), pool.map(start, reversed(wanted)), strict=True))

    for suffix, container in ids.items():
        bench.awaited(container, "running")
        assert bench.engine.inspect_container(container).address == wanted[suffix]


def test_a_network_that_containers_are_on_is_not_removed(bench: Bench) -> None:
    network = bench.network()
    running = bench.start("a", "sleep 60", network=network.name)
    bench.awaited(running, "running")

    with pytest.raises(Conflict, match=network.name):
        bench.engine.remove_network(network.name)

    assert [each.name for each in bench.engine.list_networks(bench.labels)] == [network.name]
    bench.engine.remove_container(running)
    bench.engine.remove_network(network.name)
    assert bench.engine.list_networks(bench.labels) == []


def test_an_address_in_use_is_refused_for_the_moment(bench: Bench) -> None:
    network = bench.network()
    first = bench.start("a", "sleep 60", network=network.name, address=address(network))
    bench.awaited(first, "running")

    with pytest.raises(Busy, match="in use") as failed:
        bench.start("b", "sleep 60", network=network.name, address=address(network))

    assert bench.name("b") in failed.value.message or bench.name("a") in failed.value.message


def test_containers_find_each_other_by_name_and_alias(containers: Bench) -> None:
    network = containers.network()
    wanted = address(network, 3)
    first = containers.start(
        "a", "sleep 60", network=network.name, address=wanted, aliases=("other-name",), hostname="short"
    )
    containers.awaited(first, "running")
    names = (containers.name("a"), "other-name", "short")
    # The name server learns of a container a moment after its start.
    script = "".join(
        f"for i in $(seq 100); do getent ahostsv4 {name} && break; sleep 0.1; done | head -1;"
        for name in names
    )

    printed = containers.run(script, "b", network=network.name)

    assert [line.split()[0] for line in printed.splitlines()] == [wanted] * 3


def test_a_taken_name_is_a_conflict(bench: Bench) -> None:
    bench.network()

    with pytest.raises(Conflict, match=bench.name("net")):
        bench.network()

    assert len(bench.engine.list_networks(bench.labels)) == 1


def test_a_missing_network_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="nobody"):
        bench.engine.inspect_network(bench.name("nobody"))


def test_only_objects_with_all_labels_are_listed(bench: Bench) -> None:
    mine = {**bench.labels, "reconciler-test/part": "a b=c"}
    bench.engine.create_network(NetworkSpec(name=bench.name("mine"), labels=mine))
    bench.engine.create_network(NetworkSpec(name=bench.name("other"), labels=bench.labels))
    bench.create("mine", "true", labels={"reconciler-test/part": "a b=c"})
    bench.create("other", "true", labels={"reconciler-test/part": "a b"})

    networks = bench.engine.list_networks(mine)
    containers = bench.engine.list_containers(mine)

    assert [each.name for each in networks] == [bench.name("mine")]
    assert [each.name for each in containers] == [bench.name("mine")]
    assert bench.engine.list_containers({**mine, "reconciler-test/none": ""}) == []
