"""Text that is no Unicode."""

from __future__ import annotations

import json

import pytest

from reconciler.common.unicode_text import decode_json, escape_bytes, is_unicode, replace_surrogates


def test_lone_surrogates_are_no_unicode() -> None:
    assert is_unicode("plain")
    assert is_unicode("é😀")
    assert not is_unicode("a\ud800")
    assert not is_unicode("caf\udce9")


def test_bytes_of_a_name_are_escaped() -> None:
    name = b"caf\xe9\xff.yaml".decode(errors="surrogateescape")

    assert escape_bytes(name) == r"caf\xe9\xff.yaml"
    assert escape_bytes("a\ud800") == r"a\ud800"


@pytest.mark.parametrize(
    "text", [r'{"a\ud800": ["\udfffx", 1, null]}', r'["\uD83D\uDE00", "\\ud800"]', "[1]"]
)
def test_decoded_json_can_be_encoded(text: str) -> None:
    json.dumps(decode_json(text), ensure_ascii=False).encode()
    assert decode_json(text.encode()) == decode_json(text)


def test_pairs_are_one_character_and_escaped_backslashes_are_none() -> None:
    assert decode_json(r'["\uD83D\uDE00", "\\ud800", "\ud800"]') == ["😀", r"\ud800", "\ufffd"]
    assert decode_json(b'["\xff"]') == ["\ufffd"]


def test_deep_nesting_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="deeply"):
        decode_json("[" * 100_000)


def test_keys_are_replaced_too() -> None:
    assert replace_surrogates({"\ud800": ("\udfff",)}) == {"\ufffd": ("\ufffd",)}
