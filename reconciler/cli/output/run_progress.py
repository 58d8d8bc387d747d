"""How jobs go while ``run --wait`` works: a live table on a terminal, a line per change of phase otherwise.

The daemon tells of changes of phase; the table also reads the sidecars from a thread of its own, as any other
process would, for what lies between. What can go wrong here (a terminal closed) must not end the daemon, so
only the thread ends.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from reconciler.cli.job_lookup import Job
from reconciler.state.sidecar_reader import ObjectStatus, SidecarReader, status_root

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

OnPhase = Callable[[str, Mapping[str, Any]], None]
#: Seconds between two looks at the sidecars.
INTERVAL = 0.5
LINES_INTERVAL = 1.0


def tell_phase(key: str, document: Mapping[str, Any]) -> None:
    """Print one line on standard error: the job, its phase, and why.

    Args:
        key: ``namespace/name``.
        document: as its sidecar has it.
    """
    namespace, _, name = key.partition("/")
    status = ObjectStatus(
        kind="TrainJob", namespace=namespace, name=name, file=Path(), written_at=0.0, raw=document
    )
    job = Job(namespace, name, None, status)
    text = f"{click.style(key, bold=True)}: {job.phase}"
    if job.phase == "Running" and job.nodes_total is not None:
        text += f" ({job.nodes_ready}/{job.nodes_total} nodes ready)"
    click.echo(text + (f": {job.message}" if job.message else ""), err=True)


class Shown:
    """One job's progress on standard error: a line drawn over on a terminal, a line per report elsewhere.

    What was never reported is never shown: scripts that wait for a job read nothing that they did not before.
    """

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self._told = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, job: Job) -> None:
        """Draw the job as it is now."""
        from reconciler.client.jobs.progress_display import Progress  # noqa: PLC0415

        progress = Progress.of(job.status.status.get("trainerStatus")) if job.status is not None else None
        if progress is None:
            return
        left = progress.remaining(time.time()) if self.terminal else progress.left
        text = f"{job.name}: {job.phase}  {progress.words(bar=self.terminal, left=left)}"
        if text == self._told:
            return
        if self.terminal:
            text = text[: max(shutil.get_terminal_size().columns - 1, 20)]
        self._told = text
        sys.stderr.write(f"\r\x1b[2K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line to what comes next."""
        if self.terminal and self._told:
            self._told = ""
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


class Lines:
    """A line on standard error for each change of phase and each report, where there is no terminal.

    Args:
        settings: say where sidecars are.
    """

    def __init__(self, settings: Settings) -> None:
        self._reader = SidecarReader(status_root(settings.specs, settings.status_dir))
        self._over = threading.Event()
        self._told: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="progress-lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=2)

    def on_phase(self, key: str, document: Mapping[str, Any]) -> None:
        """Tell of a change of phase, after the last report before it."""
        self._tell(key, document["status"])
        tell_phase(key, document)

    def _work(self) -> None:
        while not self._over.wait(LINES_INTERVAL):
            for key, found in sorted(self._reader.read().jobs().items()):
                self._tell(key, found.status)

    def _tell(self, key: str, status: Mapping[str, Any]) -> None:
        from reconciler.client.jobs.progress_display import Progress  # noqa: PLC0415

        progress = Progress.of(status.get("trainerStatus"))
        words = progress.words(bar=False, left=progress.left) if progress is not None else ""
        if words and self._told.setdefault(key, "") != words:
            self._told[key] = words
            click.echo(f"{click.style(key, bold=True)}: {words}", err=True)


class LiveTable:
    """A table of all jobs on standard error, up to date as long as the context lasts.

    Args:
        settings: say where sidecars are.
    """

    def __init__(self, settings: Settings) -> None:
        from rich.live import Live  # noqa: PLC0415  (not for --help)

        from reconciler.cli.output.console import console  # noqa: PLC0415

        self._reader = SidecarReader(status_root(settings.specs, settings.status_dir))
        self._live = Live(console=console(stderr=True), auto_refresh=False, redirect_stdout=False)
        self._bell = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._work, name="live-table", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._bell.set()
        self._thread.join(timeout=2)
        self._draw()
        self._live.stop()

    def on_phase(self, _key: str, _document: Mapping[str, Any]) -> None:
        """Draw anew now."""
        self._bell.set()

    def _work(self) -> None:
        while not self._over:
            self._bell.wait(INTERVAL)
            self._bell.clear()
            self._draw()

    def _draw(self) -> None:
        from reconciler.cli.output.tables import job_rows, table  # noqa: PLC0415

        found = self._reader.read().jobs()
        jobs = [Job(s.namespace, s.name, None, s) for _, s in sorted(found.items())]
        self._live.update(table(job_rows(jobs, now=time.time(), wide=False, bars=True)), refresh=True)
