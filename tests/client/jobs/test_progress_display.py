"""Progress as text and bars; a script's own text cannot control the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.client.jobs.progress_display import Progress, ProgressBar, render_bar
from reconciler.client.runtime_objects import unknown_runtime
from reconciler.client.types.types import TrainJob

AT = 1767323045.0
REPORTED = {
    "progressPercentage": 40,
    "estimatedRemainingSeconds": 300,
    "metrics": [{"name": "loss", "value": "0.123456789"}, {"name": "epoch", "value": "3"}],
    "lastUpdatedTime": "2026-01-02T03:04:05Z",
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job(progress: Any = None, status: str = "Running") -> TrainJob:
    created = datetime.fromtimestamp(0, tz=UTC)
    return TrainJob(
        name="demo",
        runtime=unknown_runtime("r"),
        steps=[],
        num_nodes=1,
        creation_timestamp=created,
        status=status,
        phase=status,
        progress=progress,
    )


def progress(**changes: Any) -> Progress:
    found = Progress.parse({**REPORTED, **changes})
    assert found is not None
    return found


def test_rendering_has_percentage_time_left_and_metrics() -> None:
    assert progress().render(bar=False, seconds_left=300) == "40% 5m left  loss=0.1235 epoch=3"
    assert progress().render(bar=True, seconds_left=300).startswith("━━━━━╌╌╌╌╌╌╌ 40% 5m left")


def test_time_left_decreases_between_reports_down_to_zero() -> None:
    assert [progress().seconds_left_at(AT + seconds) for seconds in (-5, 0, 100, 1000)] == [300, 300, 200, 0]


@pytest.mark.parametrize(("percent", "full"), [(0, 0), (3, 0), (50, 6), (100, 12), (250, 12), (-5, 0)])
def test_bar_shows_the_percentage(percent: float, full: int) -> None:
    assert render_bar(percent) == "━" * full + "╌" * (12 - full)


@pytest.mark.parametrize(
    "reported",
    [
        None,
        {},
        [],
        "40%",
        {"progressPercentage": "40"},
        {"metrics": {"loss": 1}},
        {"progressPercentage": True},
    ],
)
def test_other_values_are_no_report(reported: Any) -> None:
    assert Progress.parse(reported) is None


def test_unreported_parts_are_left_out() -> None:
    only = Progress.parse({"metrics": [{"name": "loss", "value": "1"}]})

    assert only is not None
    assert only.render(bar=True, seconds_left=only.seconds_left) == "loss=1"


def test_further_metrics_are_counted() -> None:
    many = [{"name": f"m{n}", "value": str(n)} for n in range(9)]

    assert progress(metrics=many).render_metrics() == "m0=0 m1=1 m2=2 m3=3 (+5)"


def test_metric_cannot_control_the_terminal() -> None:
    evil = [{"name": "\x1b[2J\x1b]0;owned\x07", "value": "1\n2\r3\u202e"}]

    line = progress(metrics=evil).render_metrics()

    assert all(character.isprintable() for character in line)


def test_progress_bar_redraws_one_line_on_a_terminal() -> None:
    screen = Terminal()
    show = ProgressBar(screen)

    show(job())
    show(job(REPORTED))
    show(job(REPORTED))
    show(job({**REPORTED, "progressPercentage": 100}, "Complete"))

    drawn = screen.getvalue()
    assert drawn.count("40%") == 1
    assert drawn.count("\n") == 1
    assert drawn.endswith("\n")
    assert "100%" in drawn


def test_progress_bar_writes_a_line_for_each_change_to_a_file() -> None:
    file = io.StringIO()
    show = ProgressBar(file)

    for seen in (job(), job(), job(REPORTED), replace(job(REPORTED), message="x")):
        show(seen)

    assert file.getvalue().splitlines() == [
        "demo: Running",
        "demo: Running  40% 5m left  loss=0.1235 epoch=3",
    ]
