"""Text of others made safe to print."""

from __future__ import annotations

import json
import unicodedata

import pytest

from reconciler.common.sanitize import escape_json, is_safe, sanitize_line, sanitize_output, sanitize_text

#: Signs that are seen: of Arabic and Kaithi numbers, joiners of hieroglyphs.
VISIBLE = {
    *range(0x600, 0x606),
    0x6DD,
    0x70F,
    0x890,
    0x891,
    0x8E2,
    0x110BD,
    0x110CD,
    *range(0x13430, 0x13440),
}


def test_no_control_and_no_unseen_format_character_is_left() -> None:
    left = [
        hex(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and code not in VISIBLE
        and chr(code) not in "\t\n"
        and is_safe(chr(code))
    ]

    assert left == []


@pytest.mark.parametrize(
    "text", ["", "plain", "Größe", "日本語", "שלום", "مرحبا", "🎉✔️", "e\u0301", "a\tb\nc"]
)
def test_text_of_every_script_stays_as_it_is(text: str) -> None:
    assert sanitize_text(text) == text


def test_controls_are_shown_as_their_pictures() -> None:
    assert sanitize_text("\x1b[2J\x00\x7f\x9b\u202e\udcff") == "␛[2J␀␡���"
    assert sanitize_line("a\tb\nc\rd") == "a␉b␊c␍d"


def test_json_is_escaped_and_says_the_same() -> None:
    data = {"a\u202e": ["\x9b", "\x7f", "\u2028", "\U000e0041", "\ud800", "ä🎉"]}

    escaped = escape_json(json.dumps(data, ensure_ascii=False))

    assert is_safe(escaped)
    assert "ä🎉" in escaped
    assert json.loads(escaped) == data


def test_output_keeps_colours_and_no_mark_of_direction() -> None:
    assert (
        sanitize_output("\x1b[31mred\x1b[0m\u202e\u2066\x9b1m".encode()) == "\x1b[31mred\x1b[0m���1m".encode()
    )
