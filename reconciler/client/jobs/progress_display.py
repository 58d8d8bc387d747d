"""Progress for people: what a training has reported, as a bar or as plain words.

What a script reports is its own text: it is shown as :mod:`reconciler.common.sanitize` has it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from reconciler.common.durations import short_duration
from reconciler.common.sanitize import printable_line
from reconciler.state.sidecar_reader import parse_time

if TYPE_CHECKING:
    from reconciler.client.types.types import TrainJob

BAR_WIDTH: Final = 12
#: Metrics that have room in a line.
SHOWN_METRICS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report.

    Attributes:
        percent: 0 to 100; None where it was not reported.
        left: estimated seconds to the end when it was reported.
        at: when that was, seconds since the epoch.
        metrics: by name, as reported.
    """

    percent: float | None = None
    left: float | None = None
    at: float | None = None
    metrics: Mapping[str, str]

    @classmethod
    def of(cls, reported: Any) -> Progress | None:
        """A ``trainerStatus``, whoever wrote it; None where there is nothing in it."""
        if not isinstance(reported, Mapping):
            return None
        listed = reported.get("metrics")
        metrics = {
            printable_line(str(m.get("name"))): printable_line(str(m.get("value")))
            for m in (listed if isinstance(listed, (list, tuple)) else ())
            if isinstance(m, Mapping)
        }
        percent = _number(reported.get("progressPercentage"))
        left = _number(reported.get("estimatedRemainingSeconds"))
        if percent is None and left is None and not metrics:
            return None
        at = parse_time(reported.get("lastUpdatedTime"))
        return cls(percent=percent, left=left, at=at, metrics=metrics)

    def remaining(self, now: float) -> float | None:
        """Seconds to the end as it looks now: what was left less the time since."""
        if self.left is None or self.at is None or now <= self.at:
            return self.left
        return max(0.0, self.left - (now - self.at))

    def line(self, *, bar: bool, left: float | None) -> str:
        """Percentage and time left, with a bar or without; "" where neither was reported."""
        eta = f"{short_duration(left)} left" if left is not None and left > 0 else ""
        if self.percent is None:
            return eta
        drawn = f"{draw(self.percent)} " if bar else ""
        return f"{drawn}{self.percent:.0f}%" + (f" {eta}" if eta else "")

    def metrics_line(self) -> str:
        """``loss=0.41 lr=1e-4``; of many the first few."""
        shown = [f"{name}={short(value)}" for name, value in list(self.metrics.items())[:SHOWN_METRICS]]
        more = len(self.metrics) - len(shown)
        return " ".join([*shown, *([f"(+{more})"] if more > 0 else ())])

    def words(self, *, bar: bool, left: float | None) -> str:
        """All of it in one line."""
        return "  ".join(part for part in (self.line(bar=bar, left=left), self.metrics_line()) if part)


class ProgressBar:
    """A callback for ``wait_for_job_status``: a bar on a terminal, a line per report elsewhere.

    Args:
        file: where to; standard error when None.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        self._terminal = self._file.isatty()
        self._told = ""
        self._width = 0
        self._lock = threading.Lock()

    def __call__(self, job: TrainJob) -> None:
        """Show the job as it is now."""
        progress = Progress.of(job.progress)
        words = progress.words(bar=self._terminal, left=progress.left) if progress is not None else ""
        text = f"{job.name}: {job.phase or job.status}" + (f"  {words}" if words else "")
        ended = job.status in {"Complete", "Failed"}
        with self._lock:
            if text == self._told:
                return
            self._told = text
            if not self._terminal:
                self._file.write(f"{text}\n")
            else:
                blank = " " * max(0, self._width - len(text))
                self._width = 0 if ended else len(text)
                self._file.write(f"\r{text}{blank}" + ("\n" if ended else ""))
            self._file.flush()


def draw(percent: float) -> str:
    """The bar alone."""
    done = round(BAR_WIDTH * min(max(percent, 0), 100) / 100)
    return "━" * done + "╌" * (BAR_WIDTH - done)


def short(value: str) -> str:
    """A number of many digits with four of them; any other text as it is."""
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
