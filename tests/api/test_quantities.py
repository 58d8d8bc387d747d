"""Kubernetes quantities."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.quantities import MAXIMUM, PATTERN, canonical, cores, is_quantity, parse, to_bytes, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("2", 2),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("5.", 5),
        ("+1", 1),
        ("-1", -1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("4Gi", 4 * 1024**3),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("2M", 2_000_000),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1e-3", "0.001"),
        ("100n", "1e-7"),
        ("7u", "7e-6"),
        (1.0, 1),
        (0.1, "0.1"),
        (3, 3),
    ],
)
def test_a_quantity_has_its_exact_value(text, value):
    assert parse(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "4GB", "1gi", "1 Gi", "Gi", "1KI", "0x10", "1e", "1e1.5", "--1", "1_000", "٣", "1m\n", "nan", "inf"],
)
def test_other_text_is_no_quantity(text):
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="quantity"):
        parse(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_no_quantities(number):
    assert not is_quantity(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [("4Gi", "4Gi"), (1.0, "1"), (2, "2"), (0.5, "500m"), (1e-7, "100n"), (1e20, "9223372036854775807")],
)
def test_numbers_become_canonical_text_and_text_stays(value, text):
    assert canonical(value) == text


def test_what_is_finer_than_a_nano_unit_is_rounded_away_from_zero():
    assert parse("0.0000000001") == Decimal("1e-9")


def test_more_than_kubernetes_keeps_is_its_maximum():
    assert parse("1e30") == MAXIMUM
    assert parse("-99E") == -MAXIMUM


def test_huge_exponents_are_refused_at_once():
    assert not is_quantity("1e999999999")
    assert not is_quantity("9" * 10_000)


def test_bytes_and_counts_are_rounded_up_and_cores_are_fractions():
    assert to_bytes("1.5Ki") == 1536
    assert whole("100m") == 1
    assert cores("1500m") == 1.5


@given(st.text(max_size=12))
def test_whatever_is_a_quantity_matches_upstreams_pattern(text):
    if is_quantity(text):
        assert re.match(PATTERN, text)


@given(
    st.integers(min_value=-(10**6), max_value=10**6),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "u", "n"]),
)
def test_every_whole_number_with_a_suffix_is_a_quantity(number, suffix):
    text = f"{number}{suffix}"
    assert is_quantity(text)
    assert parse(canonical(text)) == parse(text)


@given(st.floats(min_value=0, max_value=1e15, allow_nan=False))
def test_the_canonical_text_of_a_number_has_the_numbers_value(number):
    assert parse(canonical(number)) == parse(number)
