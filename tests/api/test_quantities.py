"""Kubernetes quantities."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.quantities import MAXIMUM, PATTERN, canonicalize, is_quantity, parse, to_float, to_int


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
def test_invalid_text_is_no_quantity(text):
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
    assert canonicalize(value) == text


def test_values_are_rounded_up_to_a_nano_unit():
    assert parse("0.0000000001") == Decimal("1e-9")


def test_larger_values_are_cut_to_the_maximum():
    assert parse("1e30") == MAXIMUM
    assert parse("-99E") == -MAXIMUM


def test_huge_numbers_are_rejected_without_computing_them():
    assert not is_quantity("1e999999999")
    assert not is_quantity("9" * 10_000)


def test_integers_are_rounded_up_and_floats_are_not():
    assert to_int("1.5Ki") == 1536
    assert to_int("100m") == 1
    assert to_float("1500m") == 1.5


@given(st.text(max_size=12))
def test_every_quantity_matches_upstreams_pattern(text):
    if is_quantity(text):
        assert re.match(PATTERN, text)


@given(
    st.integers(min_value=-(10**6), max_value=10**6),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "u", "n"]),
)
def test_every_whole_number_with_a_suffix_is_a_quantity(number, suffix):
    text = f"{number}{suffix}"
    assert is_quantity(text)
    assert parse(canonicalize(text)) == parse(text)


@given(st.floats(min_value=0, max_value=1e15, allow_nan=False))
def test_the_canonical_text_of_a_number_has_the_numbers_value(number):
    assert parse(canonicalize(number)) == parse(number)
