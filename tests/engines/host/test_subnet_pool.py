"""Subnets from the pool: large enough, free, and far from each other."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path

import pytest

from reconciler.engines.host.subnet_pool import find_subnets, host_routes, iter_subnets, prefix_length_for
from reconciler.errors import EngineError


@pytest.mark.parametrize(
    ("addresses", "prefix"), [(1, 24), (253, 24), (254, 23), (509, 23), (510, 22), (65533, 16)]
)
def test_a_network_is_as_large_as_needed(addresses: int, prefix: int) -> None:
    assert prefix_length_for(addresses) == prefix


def test_too_many_addresses_are_rejected() -> None:
    with pytest.raises(EngineError, match="70000 addresses"):
        find_subnets("n", addresses=70000)


def test_subnets_in_use_are_avoided() -> None:
    pool = ["10.128.0.0/22"]
    used = [IPv4Network("10.128.0.0/24"), IPv4Network("10.128.2.0/23")]

    assert [str(net) for net in iter_subnets("n", prefix=24, pool=pool, avoid=used)] == ["10.128.1.0/24"]


def test_each_subnet_comes_once() -> None:
    found = list(iter_subnets("n", prefix=24, pool=["10.128.0.0/20", "192.168.128.0/22"]))

    assert len(found) == len(set(found)) == 20


def test_the_name_decides_where_the_search_begins() -> None:
    firsts = {next(iter_subnets(f"job-{index}-net", prefix=24)) for index in range(50)}

    assert len(firsts) > 45
    assert next(iter_subnets("a", prefix=24)) == next(iter_subnets("a", prefix=24))


def test_a_range_in_use_is_skipped() -> None:
    vpn = [IPv4Network("10.0.0.0/8")]

    assert next(iter_subnets("n", prefix=24, avoid=vpn)).subnet_of(IPv4Network("172.16.0.0/12"))


def test_wide_routes_are_ignored_when_nothing_else_is_left() -> None:
    everything = [IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    narrow = next(iter_subnets("n", prefix=24))

    found = list(islice(iter_subnets("n", prefix=24, avoid=[*everything, narrow]), 3))

    assert len(found) == 3
    assert narrow not in found


def test_the_hosts_routes_are_parsed(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0\n"
        "docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
    )

    assert host_routes(routes) == [IPv4Network("172.17.0.0/16")]
    assert host_routes(tmp_path / "missing") == []
