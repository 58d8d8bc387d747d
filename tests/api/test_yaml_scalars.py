"""YAML scalars as Kubernetes (go-yaml) reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.yaml_scalars import parse_plain, parse_tagged


@pytest.mark.parametrize("text", ["y", "Y", "yes", "Yes", "YES", "on", "On", "true", "True", "TRUE"])
def test_yaml_1_1_words_are_true(text):
    assert parse_plain(text) is True


@pytest.mark.parametrize("text", ["n", "N", "no", "No", "NO", "off", "OFF", "false", "False"])
def test_yaml_1_1_words_are_false(text):
    assert parse_plain(text) is False


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nulls(text):
    assert parse_plain(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-5", -5),
        ("+1", 1),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("0b11", 3),
        ("1_000", 1000),
        ("08", 8),
        ("1.0", 1),
        ("1e3", 1000),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-1.5", -1.5),
        ("99999999999999999999", 1e20),
    ],
)
def test_numbers(text, value):
    assert parse_plain(text) == value
    assert type(parse_plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "1:30",
        "2026-01-31",
        "1.2.3",
        "yEs",
        "nO",
        "-",
        "+",
        ".",
        "0x",
        "1e",
        "4Gi",
        "10.0.0.1",
        "0x" + "f" * 300,
    ],
)
def test_other_text_is_a_string(text):
    assert parse_plain(text) == text


def test_not_a_number_and_infinity_are_floats():
    assert math.isnan(parse_plain(".nan"))
    assert parse_plain("-.inf") == -math.inf


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("tag:yaml.org,2002:str", "5", "5"),
        ("!", "yes", "yes"),
        ("tag:yaml.org,2002:int", "5", 5),
        ("tag:yaml.org,2002:float", "5", 5),
        ("tag:yaml.org,2002:bool", "on", True),
        ("tag:yaml.org,2002:null", "~", None),
        ("tag:yaml.org,2002:binary", "aGFsbG8=", "hallo"),
    ],
)
def test_a_tag_decides_the_type(tag, text, value):
    assert parse_tagged(tag, text) == value


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("tag:yaml.org,2002:int", "five"),
        ("tag:yaml.org,2002:bool", "5"),
        ("tag:yaml.org,2002:binary", "/w=="),
        ("!mine", "x"),
        ("tag:yaml.org,2002:python/object:os.system", "x"),
    ],
)
def test_a_tag_that_does_not_fit_is_rejected(tag, text):
    with pytest.raises(ValueError, match=r"tag|base64"):
        parse_tagged(tag, text)


@given(st.text(max_size=30))
def test_every_text_has_a_value(text):
    assert isinstance(parse_plain(text), str | int | float | bool | None)
