"""Renders a training's reported progress: as a bar on a terminal, as plain text elsewhere.

Used by the progress column of ``reconciler get``, by ``wait``, ``run --wait`` and :class:`ProgressBar`. Names
and values of metrics are a script's own text: :mod:`reconciler.common.sanitize` makes them safe to print.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from reconciler.common.durations import format_duration
from reconciler.common.sanitize import sanitize_line
from reconciler.state.timestamps import parse_time

if TYPE_CHECKING:
    from reconciler.client.types.types import TrainJob

BAR_WIDTH: Final = 12
#: Metrics that fit in a line.
MAX_METRICS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report.

    Attributes:
        percent: 0 to 100; None where it was not reported.
        seconds_left: estimated when it was reported; None where it was not.
        reported_at: seconds since the epoch.
        metrics: by name, as reported.
    """

    percent: float | None = None
    seconds_left: float | None = None
    reported_at: float | None = None
    metrics: Mapping[str, str]

    @classmethod
    def parse(cls, reported: Any) -> Progress | None:
        """Reads a ``trainerStatus``, whoever wrote it; None where it has nothing to show."""
        if not isinstance(reported, Mapping):
            return None
        entries = reported.get("metrics")
        metrics = {
            sanitize_line(str(m.get("name"))): sanitize_line(str(m.get("value")))
            for m in (entries if isinstance(entries, (list, tuple)) else ())
            if isinstance(m, Mapping)
        }
        percent = _number(reported.get("progressPercentage"))
        left = _number(reported.get("estimatedRemainingSeconds"))
        if percent is None and left is None and not metrics:
            return None
        reported_at = parse_time(reported.get("lastUpdatedTime"))
        return cls(percent=percent, seconds_left=left, reported_at=reported_at, metrics=metrics)

    def seconds_left_at(self, now: float) -> float | None:
        """Returns the estimate less the time since the report."""
        if self.seconds_left is None or self.reported_at is None or now <= self.reported_at:
            return self.seconds_left
        return max(0.0, self.seconds_left - (now - self.reported_at))

    def render(self, *, bar: bool, seconds_left: float | None) -> str:
        """Returns the estimate and the metrics in one line."""
        parts = (self.render_estimate(bar=bar, seconds_left=seconds_left), self.render_metrics())
        return "  ".join(filter(None, parts))

    def render_estimate(self, *, bar: bool, seconds_left: float | None) -> str:
        """Returns percentage and time left, with a bar or without; "" where neither was reported."""
        eta = f"{format_duration(seconds_left)} left" if seconds_left is not None and seconds_left > 0 else ""
        if self.percent is None:
            return eta
        prefix = f"{render_bar(self.percent)} " if bar else ""
        return f"{prefix}{self.percent:.0f}%" + (f" {eta}" if eta else "")

    def render_metrics(self) -> str:
        """Returns ``loss=0.41 lr=1e-4``; of many the first few, and how many more there are."""
        shown = [
            f"{name}={shorten_number(value)}" for name, value in list(self.metrics.items())[:MAX_METRICS]
        ]
        more = len(self.metrics) - len(shown)
        return " ".join([*shown, *([f"(+{more})"] if more > 0 else ())])


class ProgressBar:
    """A callback for ``wait_for_job_status``: a bar on a terminal, a line per report elsewhere.

    Args:
        file: written to; None: standard error.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._terminal = self._file.isatty()
        self._last_text = ""
        self._width = 0
        self._lock = threading.Lock()

    def __call__(self, job: TrainJob) -> None:
        """Shows the job as it is now."""
        progress = Progress.parse(job.progress)
        rendered = ""
        if progress is not None:
            rendered = progress.render(bar=self._terminal, seconds_left=progress.seconds_left)
        text = sanitize_line(f"{job.name}: {job.phase or job.status}" + (f"  {rendered}" if rendered else ""))
        ended = job.status in {"Complete", "Failed"}
        with self._lock:
            if text == self._last_text:
                return
            self._last_text = text
            if not self._terminal:
                self._file.write(f"{text}\n")
            else:
                blank = " " * max(0, self._width - len(text))
                self._width = 0 if ended else len(text)
                self._file.write(f"\r{text}{blank}" + ("\n" if ended else ""))
            self._file.flush()


def render_bar(percent: float) -> str:
    """Returns the bar alone."""
    done = round(BAR_WIDTH * min(max(percent, 0), 100) / 100)
    return "━" * done + "╌" * (BAR_WIDTH - done)


def shorten_number(value: str) -> str:
    """Returns a number of many digits with four of them; any other text unchanged."""
    if len(value) <= 8:
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return f"{number:.4g}" if math.isfinite(number) else value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value
