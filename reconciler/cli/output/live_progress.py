"""How jobs go while ``run --wait`` and ``wait`` work: drawn over on a terminal, a line per change elsewhere.

The daemon calls back for changes of phase; progress reports between them are read from the sidecars, as any
other process would. What fails here (a terminal closed) must not end the daemon: only a thread ends.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import click

from reconciler.cli.job_lookup import reported_progress
from reconciler.cli.output.console import open_console
from reconciler.cli.output.job_table import job_rows
from reconciler.cli.output.tables import build_table
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.progress_display import Progress
from reconciler.config.settings import Settings
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import ObjectStatus, SidecarReader

#: Seconds between two readings of the sidecars: for the table, and for lines.
TABLE_INTERVAL: Final = 0.5
LINE_INTERVAL: Final = 1.0


class StatusLine:
    """``wait``'s line on standard error: drawn over on a terminal, a line per report elsewhere.

    Nothing is printed for a job that reports no progress: scripts that wait for one read an empty stream.
    """

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self._printed = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, job: Job) -> None:
        """Draws the job as it is now."""
        progress = reported_progress(job)
        if progress is None:
            return
        left = progress.seconds_left_at(time.time()) if self.terminal else progress.seconds_left
        text = f"{job.name}: {job.phase}  {progress.render(bar=self.terminal, seconds_left=left)}"
        if text == self._printed:
            return
        if self.terminal:
            text = text[: max(shutil.get_terminal_size().columns - 1, 20)]
        self._printed = text
        sys.stderr.write(f"\r\x1b[2K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Erases the line, for what is printed next."""
        if self.terminal and self._printed:
            self._printed = ""
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


class ProgressLines:
    """Prints a line on standard error for each change of phase and each report: where it is no terminal."""

    def __init__(self, settings: Settings) -> None:
        self._reader = SidecarReader(sidecar_root(settings.specs, settings.status_dir))
        self._stop = threading.Event()
        self._printed: dict[str, str] = {}
        #: By job, the last sentence on its restarts.
        self._said: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="progress-lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def on_phase(self, key: str, document: Mapping[str, Any]) -> None:
        """Prints a change of phase, after the last report before it.

        Args:
            key: ``namespace/name``.
            document: as the job's sidecar has it.
        """
        self._print_report(key, document["status"])
        namespace, _, name = key.partition("/")
        status = ObjectStatus(
            kind="TrainJob", namespace=namespace, name=name, file=Path(), written_at=0.0, raw=document
        )
        job = Job(namespace, name, None, status)
        text = f"{click.style(key, bold=True)}: {job.phase}"
        if job.phase == "Running" and job.nodes_total is not None:
            text += f" ({job.nodes_ready}/{job.nodes_total} nodes ready)"
        self._said[key] = job.message
        click.echo(text + (f": {job.message}" if job.message else ""), err=True)

    def _run(self) -> None:
        while not self._stop.wait(LINE_INTERVAL):
            for key, found in sorted(self._reader.read().jobs().items()):
                self._print_report(key, found.status)
                self._print_restart(key, found)

    def _print_restart(self, key: str, status: ObjectStatus) -> None:
        """Prints which try comes next, or runs, of a container that is restarted while the phase stays."""
        message = status.message
        restarts = status.phase in {"Running", "Restarting"} and status.status.get("failure")
        if restarts and message and self._said.setdefault(key, "") != message:
            self._said[key] = message
            click.echo(f"{click.style(key, bold=True)}: {status.phase}: {message}", err=True)

    def _print_report(self, key: str, status: Mapping[str, Any]) -> None:
        progress = Progress.parse(status.get("trainerStatus"))
        text = progress.render(bar=False, seconds_left=progress.seconds_left) if progress is not None else ""
        if text and self._printed.setdefault(key, "") != text:
            self._printed[key] = text
            click.echo(f"{click.style(key, bold=True)}: {text}", err=True)


class LiveTable:
    """Keeps a table of all jobs on standard error up to date, as long as the context lasts."""

    def __init__(self, settings: Settings) -> None:
        from rich.live import Live  # noqa: PLC0415  (not where there is no terminal)

        self._reader = SidecarReader(sidecar_root(settings.specs, settings.status_dir))
        self._live = Live(console=open_console(stderr=True), auto_refresh=False, redirect_stdout=False)
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="live-table", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=2)
        self._draw()
        self._live.stop()

    def on_phase(self, _key: str, _document: Mapping[str, Any]) -> None:
        """Draws the table now."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(TABLE_INTERVAL)
            self._wake.clear()
            self._draw()

    def _draw(self) -> None:
        found = self._reader.read().jobs()
        jobs = [Job(s.namespace, s.name, None, s) for _, s in sorted(found.items())]
        self._live.update(build_table(job_rows(jobs, now=time.time(), wide=False, bars=True)), refresh=True)
