"""How commands show progress while they wait."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from reconciler.cli.job_lookup import Job
from reconciler.cli.output.run_progress import Lines, Shown
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


def test_a_wait_draws_its_line_over_and_clears_it_before_the_answer(monkeypatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    with Shown() as shown:
        shown.show(job(10))
        shown.show(job(10))
        shown.show(job(20))

    parts = screen.getvalue().split("\r\x1b[2K")
    assert [p.split("%")[0].split()[-1] for p in parts if p] == ["10", "20"]
    assert parts[-1] == ""
    assert "\n" not in screen.getvalue()


def test_a_wait_for_a_job_that_never_reports_says_nothing(capsys) -> None:
    with Shown() as shown:
        shown.show(job(None))

    assert capsys.readouterr().err == ""


def test_without_a_terminal_each_report_is_a_line(specs, monkeypatch) -> None:
    # Only ever read: what pytest's capture takes out while another thread writes may lose a line.
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    write(specs / "job.yaml", trainjob())
    with Lines(Settings(specs=specs)):
        for percent in (10, 20):
            write(specs / "job.status.yaml", status(percent))
            eventually(lambda told=f"{percent}%": told in screen.getvalue(), f"a line for {percent}%")

    assert screen.getvalue().splitlines() == ["default/demo: 10%", "default/demo: 20%"]
