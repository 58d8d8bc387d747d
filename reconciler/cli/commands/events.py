"""``reconciler events``: what has happened to jobs, oldest first, as ``kubectl events`` has it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.cli.job_lookup import open_reader
from reconciler.cli.output.console import print_data, print_note
from reconciler.cli.output.event_table import event_objects, event_rows, job_events
from reconciler.cli.output.tables import print_table
from reconciler.client.jobs.folder_watcher import POLL_INTERVAL, FolderWatcher
from reconciler.state.sidecar_files import sidecar_root

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Snapshot
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler events
  reconciler events demo
  reconciler events --for job/demo --types Warning --watch"""


@click.command(epilog=EPILOG)
@click.argument("jobs", nargs=-1, metavar="[JOB...]", shell_complete=shared_options.complete_job)
@click.option("--for", "for_job", metavar="JOB", default=None, help="Of this job, as kubectl has it.")
@click.option(
    "--types",
    "kind",
    type=click.Choice(["Normal", "Warning"], case_sensitive=False),
    default=None,
    help="Only these.",
)
@shared_options.output_option("table", "json", "yaml", default="table", jsonpath=True)
@click.option("-w", "--watch", is_flag=True, help="Go on, and print further events as they come.")
@shared_options.namespace_option
@shared_options.all_namespaces_option
@shared_options.settings_options("specs", "status_dir", "state_dir")
def events(
    jobs: tuple[str, ...],
    *,
    for_job: str | None,
    kind: str | None,
    form: str,
    watch: bool,
    namespace: str | None,
    all_namespaces: bool,
    settings: Settings,
) -> None:
    """Print the events of jobs, oldest first; each job keeps its last 50."""
    names = [*shared_options.without_kind(jobs), *([for_job] if for_job else [])]
    namespace = None if all_namespaces else namespace
    seen: set[str] = set()
    header = True
    reader = open_reader(settings)

    def show(snapshot: Snapshot) -> None:
        nonlocal header
        found = [snapshot.find(name, namespace) for name in names]
        selected = found if names else [j for j in snapshot.jobs if namespace in (None, j.namespace)]
        new = [
            (job, event)
            for job, event in job_events(selected, kind=kind or "")
            if (key := f"{job.key} {dict(event)}") not in seen and not seen.add(key)  # type: ignore[func-returns-value]
        ]
        if form != "table" and (new or not watch):
            print_data({"apiVersion": "v1", "kind": "List", "items": event_objects(new)}, form)
        elif form == "table" and new:
            rows = event_rows(new, now=time.time(), with_job=len(names) != 1, namespaces=all_namespaces)
            print_table(rows, header=header, whole=True)
            header = False
        elif form == "table" and header and not watch:
            print_note("There are no events here.")
        sys.stdout.flush()

    show(reader.snapshot())
    if watch:
        root = sidecar_root(settings.specs, settings.status_dir)
        with FolderWatcher([settings.specs, root]) as watcher:
            while True:
                show(reader.snapshot())
                watcher.wait(POLL_INTERVAL)
