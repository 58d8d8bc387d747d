"""How jobs go while ``run --wait`` works: a live table on a terminal, a line per change of phase otherwise.

It reads the sidecars from a thread of its own, as any other process would; the daemon does not know of it.
What can go wrong here (a terminal closed) must not end the daemon, so only the thread ends.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

import click

from reconciler.cli.jobs import Job
from reconciler.cli.watching import Changes
from reconciler.logging_setup import chosen_format
from reconciler.status.reading import SUFFIX, SidecarReader, status_root

if TYPE_CHECKING:
    from reconciler.config import Settings


class Progress:
    """Shows the phases of all jobs as long as the context lasts.

    Args:
        settings: say where sidecars are, and the log's form: lines go along with it.
        table: draw a table that is kept up to date, instead of lines.
    """

    def __init__(self, settings: Settings, *, table: bool) -> None:
        root = status_root(settings.specs, settings.status_dir)
        self._reader = SidecarReader(root)
        self._changes = Changes([root], matters=lambda path: path.endswith(SUFFIX))
        self._as_json = chosen_format(settings.log_format) == "json"
        self._table = table
        self._live: Any = None
        self._phases: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._changes.__enter__()
        # What ended before this run is no news.
        self._phases = {job.key: self._state(job) for job in self._jobs() if self._is_over(job)}
        if self._table:
            self._start_table()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._changes.ring()
        self._thread.join(timeout=2)
        self._changes.__exit__()
        self._show()
        if self._live is not None:
            self._live.stop()

    def _work(self) -> None:
        while not self._stop.is_set():
            if self._changes.wait(1.0) or self._live is not None:
                self._show()

    def _show(self) -> None:
        jobs = self._jobs()
        if self._live is not None:
            self._live.update(self._drawn(jobs), refresh=True)
            return
        for job in jobs:
            state = self._state(job)
            if state != self._phases.get(job.key):
                self._phases[job.key] = state
                self._tell(job)

    def _jobs(self) -> list[Job]:
        found = self._reader.read().jobs()
        return [Job(s.namespace, s.name, None, s) for _, s in sorted(found.items())]

    @staticmethod
    def _state(job: Job) -> str:
        """What is worth a line when it changes."""
        attempt = job.status.attempt if job.status is not None else 0
        why = job.message if job.phase in {"Failed", "Invalid", "Queued", "Pending"} else ""
        return f"{job.phase} {attempt} {why}"

    @staticmethod
    def _is_over(job: Job) -> bool:
        return job.phase in {"Complete", "Failed"}

    def _tell(self, job: Job) -> None:
        nodes = f"{job.nodes_ready}/{job.nodes_total}" if job.nodes_total is not None else ""
        if self._as_json:
            import structlog  # noqa: PLC0415  (as late as the log itself)

            structlog.get_logger(__name__).info(
                "phase", job=job.key, phase=job.phase, nodes=nodes, message=job.message
            )
            return
        text = f"{job.key}: {job.phase}"
        if nodes and job.phase == "Running":
            text += f" ({nodes} nodes ready)"
        click.echo(text + (f": {job.message}" if job.message else ""), err=True)

    def _start_table(self) -> None:
        from rich.live import Live  # noqa: PLC0415

        from reconciler.cli.output import console  # noqa: PLC0415

        self._live = Live(
            self._drawn(self._jobs()), console=console(stderr=True), auto_refresh=False, redirect_stdout=False
        )
        self._live.start(refresh=True)

    @staticmethod
    def _drawn(jobs: list[Job]) -> Any:
        from reconciler.cli.tables import job_rows, table  # noqa: PLC0415

        return table(job_rows(jobs, now=time.time(), wide=False, bars=True))
