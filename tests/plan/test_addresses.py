"""Planned addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import PlanError
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.expansion import HOST
from tests.plan.manifests import container, plan_of, runtime, step, trainjob


def test_ranks_come_first_after_the_gateway_then_other_steps() -> None:
    runtime_manifest = runtime(step("warm", container("warm"), job={"parallelism": 2}), step("node"))

    addresses = plan_addresses(
        plan_of(trainjob({"numNodes": 2}), runtime_manifest), "10.89.3.0/24", "10.89.3.1"
    )

    assert addresses == {
        ("node", 0): "10.89.3.2",
        ("node", 1): "10.89.3.3",
        ("warm", 0): "10.89.3.4",
        ("warm", 1): "10.89.3.5",
        HOST: "10.89.3.1",
    }


def test_a_loopback_subnet_leaves_its_first_address_free() -> None:
    addresses = plan_addresses(plan_of(trainjob()), "127.31.5.0/24", "")

    assert addresses["node", 0] == "127.31.5.2"


def test_a_gateway_at_the_end_leaves_the_first_addresses() -> None:
    addresses = plan_addresses(plan_of(trainjob({"numNodes": 2})), "10.0.0.0/29", "10.0.0.6")

    assert [addresses["node", 0], addresses["node", 1]] == ["10.0.0.1", "10.0.0.2"]


def test_a_pod_on_the_hosts_network_has_the_gateways_address() -> None:
    runtime_manifest = runtime(step("node"), step("web", container("web"), pod={"hostNetwork": True}))

    addresses = plan_addresses(plan_of(trainjob(), runtime_manifest), "10.0.0.0/24", "10.0.0.1")

    assert addresses["web", 0] == "10.0.0.1"
    assert addresses["node", 0] == "10.0.0.2"


def test_a_job_on_the_hosts_network_only_uses_loopback() -> None:
    runtime_manifest = runtime(step("node", container(), pod={"hostNetwork": True}))

    addresses = plan_addresses(
        plan_of(trainjob({"numNodes": 2}), runtime_manifest), "10.0.0.0/24", "10.0.0.1"
    )

    assert addresses == {("node", 0): "127.0.0.1", ("node", 1): "127.0.0.1", HOST: "127.0.0.1"}


def test_too_small_a_subnet_is_an_error() -> None:
    with pytest.raises(PlanError, match=r"needs 6 addresses, more than its network.s subnet 10\.0\.0\.0/29"):
        plan_addresses(plan_of(trainjob({"numNodes": 6})), "10.0.0.0/29", "10.0.0.1")


@given(st.integers(1, 40), st.integers(24, 26), st.integers(1, 60))
def test_addresses_are_distinct_usable_and_not_the_gateways(nodes: int, bits: int, gateway: int) -> None:
    network = ipaddress.ip_network(f"10.1.2.0/{bits}")

    addresses = plan_addresses(plan_of(trainjob({"numNodes": nodes})), str(network), str(network[gateway]))

    assigned = [addresses["node", rank] for rank in range(nodes)]
    assert len(set(assigned)) == nodes
    assert set(assigned) <= {str(a) for a in network.hosts()} - {str(network[gateway])}
