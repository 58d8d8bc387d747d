"""What ``wait`` and ``run --wait`` print meanwhile."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from reconciler.cli.output.live_progress import ProgressLines, StatusLine
from reconciler.client.jobs.job_snapshots import Job
from reconciler.config.settings import Settings
from reconciler.state.sidecar_reader import ObjectStatus
from tests.cli.samples import sidecar, trainjob, write
from tests.support.workspaces import eventually


def status(percent: int | None) -> dict:
    reported = {} if percent is None else {"trainerStatus": {"progressPercentage": percent}}
    return sidecar(phase="Running", **reported)


def job(percent: int | None) -> Job:
    found = ObjectStatus(
        kind="TrainJob", namespace="default", name="demo", file=Path(), written_at=0.0, raw=status(percent)
    )
    return Job("default", "demo", None, found)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_status_line_is_drawn_over_and_cleared(monkeypatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    with StatusLine() as line:
        line.show(job(10))
        line.show(job(10))
        line.show(job(20))

    parts = screen.getvalue().split("\r\x1b[2K")
    assert [p.split("%")[0].split()[-1] for p in parts if p] == ["10", "20"]
    assert parts[-1] == ""
    assert "\n" not in screen.getvalue()


def test_status_line_of_a_job_without_reports_is_empty(capsys) -> None:
    with StatusLine() as line:
        line.show(job(None))

    assert capsys.readouterr().err == ""


def test_each_report_is_a_line_without_a_terminal(specs, monkeypatch) -> None:
    # Only ever read: what pytest's capture takes out while another thread writes may lose a line.
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    write(specs / "job.yaml", trainjob())
    with ProgressLines(Settings(specs=specs)):
        for percent in (10, 20):
            write(specs / "job.status.yaml", status(percent))
            eventually(lambda text=f"{percent}%": text in screen.getvalue(), f"a line for {percent}%")

    assert screen.getvalue().splitlines() == ["default/demo: 10%", "default/demo: 20%"]
