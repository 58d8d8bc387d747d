"""Times of status documents."""

import pytest

from reconciler.state.timestamps import parse_time


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T01:00:00+01:00", 0),
        (5, 5),
        ("soon", None),
        (None, None),
        (True, None),
    ],
)
def test_times_are_parsed(value, seconds):
    assert parse_time(value) == seconds
