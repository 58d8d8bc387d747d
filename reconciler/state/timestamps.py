"""Times in status documents: RFC 3339 text in UTC on disk, seconds since the epoch in the program."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

#: The year 9999 begins: later moments are no dates in every zone.
LATEST_MOMENT: Final = 253_370_764_800.0


def format_time(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(value: Any) -> float | None:
    """Seconds since the epoch from RFC 3339 text (or a number); None when it is none from 1970 to 9998."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        if isinstance(value, (int, float)):
            at = float(value)
        else:
            moment = datetime.fromisoformat(str(value))
            at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return at if 0 <= at <= LATEST_MOMENT else None
