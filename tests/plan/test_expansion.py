"""``$(NAME)`` and references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.expansion import HOST, address_reference, expand, expand_references, reference_values

KNOWN = reference_values({("node", 0): "10.0.0.2", ("data-init", 11): "10.0.0.3", HOST: "10.0.0.1"}, 29500)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("--lr=$(LR)", "--lr=0.1"),
        ("$(LR)$(LR)", "0.10.1"),
        ("$$(LR)", "$(LR)"),
        ("$$$(LR)", "$0.1"),
        ("$$$$(LR)", "$$(LR)"),
        ("$(NOPE)", "$(NOPE)"),
        ("$()", "$()"),
        ("$(LR", "$(LR"),
        ("$LR", "$LR"),
        ("cost: 5$", "cost: 5$"),
        ("$(REF)", "$(LR)"),
        ("$(node-0.ip):$(job.port)", "10.0.0.2:29500"),
        ("$(data-init-11.ip) $(host.ip)", "10.0.0.3 10.0.0.1"),
        ("$(node-7.ip)", "$(node-7.ip)"),
    ],
)
def test_expand_follows_kubernetes(text: str, expanded: str) -> None:
    assert expand(text, {"LR": "0.1", "REF": "$(LR)"}, KNOWN) == expanded


def test_a_variable_hides_a_reference_of_its_name() -> None:
    assert expand("$(node-0.ip)", {"node-0.ip": "mine"}, KNOWN) == "mine"


def test_expand_references_keeps_every_other_dollar() -> None:
    text = "host=$(hostname) $$ $(LR) $(node-0.ip)"

    assert expand_references(text, KNOWN) == "host=$(hostname) $$ $(LR) 10.0.0.2"


def test_an_address_reference_becomes_the_pods_address() -> None:
    assert expand(address_reference("data-init", 11), {}, KNOWN) == "10.0.0.3"


@given(st.text(alphabet="$()ab-", max_size=20))
def test_expand_never_fails_and_keeps_text_without_dollars(text: str) -> None:
    expanded = expand(text, {"a": "1"}, {})

    assert "$" in text or expanded == text


@given(st.text(max_size=20))
def test_doubled_dollars_keep_any_text(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"a": "1"}, KNOWN) == text
