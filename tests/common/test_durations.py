"""Durations as people write them."""

from __future__ import annotations

import pytest

from reconciler.common.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("1.5", 1.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), (7, 7)],
)
def test_durations_are_parsed(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m5", "5 m", "-5", "5x", "five"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (3600, "60m"),
        (12000, "3h20m"),
        (200000, "2d7h"),
        (-5, "0s"),
    ],
)
def test_durations_are_formatted(seconds, text):
    assert format_duration(seconds) == text
