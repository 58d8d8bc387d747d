"""``reconciler get``: lists for people (tables, ``--watch``) and for scripts (``-o json|yaml``).

The columns are in :mod:`reconciler.cli.output`: ``job_table``, ``node_table``, ``runtime_table``,
``host_table``, ``source_table``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from reconciler.cli import shared_options
from reconciler.cli.job_lookup import open_reader
from reconciler.cli.output.console import open_console, print_data, print_note
from reconciler.cli.output.event_table import event_objects, event_rows, job_events
from reconciler.cli.output.host_table import build_usage, host_object, host_rows, read_capacity, waiting_rows
from reconciler.cli.output.job_table import job_rows
from reconciler.cli.output.node_table import node_rows
from reconciler.cli.output.runtime_table import runtime_rows
from reconciler.cli.output.source_table import source_row
from reconciler.cli.output.tables import build_table, print_table
from reconciler.cli.resource_words import ResourceWords, parse_resources
from reconciler.client.jobs.folder_watcher import POLL_INTERVAL, FolderWatcher
from reconciler.common.suggestions import did_you_mean
from reconciler.errors import ReconcilerError
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import mappings_in

if TYPE_CHECKING:
    from reconciler.cli.output.tables import FittedTable, Row
    from reconciler.client.jobs.job_snapshots import Job, Snapshot, SnapshotReader
    from reconciler.config.settings import Settings
    from reconciler.sources.folder.catalog import RuntimeKey

EPILOG = """\b
Example:
  reconciler get                   # jobs
  reconciler get jobs --watch
  reconciler get jobs demo -o json | jq .status.phase
  reconciler get job/demo -o jsonpath='{.status.phase}'
  reconciler get nodes demo -o wide
  reconciler get runtimes
  reconciler get host
  reconciler get source            # of a daemon that follows a repository"""

_TABLE_FORMS: Final = frozenset({"table", "wide"})
#: How ``-o name`` has an object of each kind, before its name.
_NAME_PREFIXES: Final = {"jobs": "trainjob.trainer.kubeflow.org/", "nodes": "pod/"}


@click.command(epilog=EPILOG, params=[ResourceWords()])
@shared_options.output_option("table", "wide", "yaml", "json", "name", default="table", jsonpath=True)
@click.option("-w", "--watch", is_flag=True, help="Go on, and show every change.")
@shared_options.namespace_option
@shared_options.all_namespaces_option
@shared_options.settings_options(*shared_options.FOLDER_OPTIONS)
def get(
    words: tuple[str, ...],
    *,
    form: str,
    watch: bool,
    namespace: str | None,
    all_namespaces: bool,
    settings: Settings,
) -> None:
    """List jobs, runtimes, nodes or events (of the jobs NAME, or of all); alone: jobs.

    `host`: the host's capacity, and who waits for it; `source`: the followed repository, and its revision.
    """
    asked = parse_resources(words)
    if form == "name" and asked.kind in {"host", "source"}:
        raise click.UsageError(f"-o name is for lists; {asked.kind} has -o table, json and yaml.")
    if asked.kind == "source":
        _print_source(settings, form=form)
        return
    reader = open_reader(settings)
    snapshot = reader.snapshot()
    for problem in snapshot.problems:
        print_note(f"warning: {problem.message}")
    query = _Query(
        kind=asked.kind,
        names=asked.names,
        namespace=None if all_namespaces else namespace,
        all_namespaces=all_namespaces,
        form=form,
    )
    if asked.kind == "host":
        show = _host_printer(settings, form=form)
    elif not watch:
        show = query.print_all
    elif form not in _TABLE_FORMS:
        show = _changed_objects_printer(query)
    elif not (console := open_console()).is_terminal:
        show = _changed_rows_printer(query)
    else:
        from rich.live import Live  # noqa: PLC0415  (not for --help)

        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            _watch(reader, settings, lambda latest: live.update(query.table(latest), refresh=True))
    show(snapshot)
    if watch:
        _watch(reader, settings, show)


def _watch(reader: SnapshotReader, settings: Settings, show: Callable[[Snapshot], None]) -> NoReturn:
    """Calls ``show`` with a new snapshot after every change, and once a second at least; for ever."""
    root = sidecar_root(settings.specs, settings.status_dir)
    with FolderWatcher([settings.specs, root]) as watcher:
        while True:
            # Reading comes first: something may have changed before the watch began.
            show(reader.snapshot())
            watcher.wait(POLL_INTERVAL)


@dataclass(frozen=True, kw_only=True)
class _Query:
    """The arguments, applied to snapshots: jobs, nodes or runtimes as rows of a table or as objects."""

    kind: str
    names: tuple[str, ...]
    namespace: str | None
    all_namespaces: bool
    form: str

    def print_all(self, snapshot: Snapshot) -> None:
        """Prints everything that the query selects."""
        if self.form not in _TABLE_FORMS:
            objects = self.objects(snapshot)
            single = len(self.names) == 1 and self.kind in {"jobs", "runtimes"}
            listed = {"apiVersion": "v1", "kind": "List", "items": objects}
            self.print_object(objects[0] if single else listed)
        elif rows := self.rows(snapshot):
            print_table(rows, whole=self.form == "wide")
        else:
            print_note(f"There are no {self.kind} here.")

    def print_object(self, data: Mapping[str, Any]) -> None:
        """Prints an object, or a List, in the form that was asked for."""
        if self.form == "name":
            for item in data["items"] if data.get("kind") == "List" else [data]:
                click.echo(self._name_of(item))
        else:
            print_data(data, self.form)

    def _name_of(self, item: Mapping[str, Any]) -> str:
        metadata = item.get("metadata") or {}
        prefix = _NAME_PREFIXES.get(self.kind, f"{str(item.get('kind', '')).lower()}.trainer.kubeflow.org/")
        return f"{prefix}{metadata.get('name') or item.get('name') or item.get('reason', '')}"

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Returns the lines of the table; progress is drawn as bars on a terminal."""
        wide = self.form == "wide"
        if self.kind == "runtimes":
            return runtime_rows(snapshot.catalog, self._runtimes(snapshot), wide=wide)
        jobs = self._jobs(snapshot)
        if self.kind == "jobs":
            return job_rows(
                jobs,
                now=time.time(),
                wide=wide,
                bars=open_console().is_terminal,
                namespaces=self.all_namespaces,
            )
        with_job = len(self.names) != 1
        if self.kind == "events":
            events = job_events(jobs)
            return event_rows(events, now=time.time(), with_job=with_job, namespaces=self.all_namespaces)
        return [row for job in jobs for row in node_rows(job, wide=wide, with_job=with_job)]

    def table(self, snapshot: Snapshot) -> FittedTable:
        """Returns the rows as a table."""
        return build_table(self.rows(snapshot), whole=self.form == "wide")

    def objects(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Returns the objects for scripts."""
        if self.kind == "jobs":
            return [job.as_object() for job in self._jobs(snapshot)]
        if self.kind == "events":
            return event_objects(job_events(self._jobs(snapshot)))
        if self.kind == "nodes":
            return [node for job in self._jobs(snapshot) for node in _node_objects(job)]
        catalog = snapshot.catalog
        documents = [
            catalog.runtimes.get(k) or catalog.fallback_runtimes[k] for k in self._runtimes(snapshot)
        ]
        return [dict(document.raw) for document in documents]

    def _jobs(self, snapshot: Snapshot) -> Sequence[Job]:
        if self.names:
            return [snapshot.find(name, self.namespace) for name in dict.fromkeys(self.names)]
        return [j for j in snapshot.jobs if self.namespace in (None, j.namespace)]

    def _runtimes(self, snapshot: Snapshot) -> list[RuntimeKey]:
        keys = sorted({*snapshot.catalog.runtimes, *snapshot.catalog.fallback_runtimes})
        keys = [k for k in keys if self.namespace in (None, k[1])]
        return [key for name in self.names for key in _runtimes_called(name, keys)] if self.names else keys


def _runtimes_called(name: str, keys: Sequence[RuntimeKey]) -> list[RuntimeKey]:
    found = [key for key in keys if key[2] == name]
    if not found:
        names = sorted({key[2] for key in keys})
        remedy = f"There are: {', '.join(names)}." if names else "There is no runtime at all."
        raise ReconcilerError(f"There is no runtime {name}{did_you_mean(name, names)}.", remedy=remedy)
    return found


def _node_objects(job: Job) -> list[dict[str, Any]]:
    nodes = mappings_in(job.reported.get("nodes"))
    return [{"namespace": job.namespace, "job": job.name, **node} for node in nodes]


def _changed_rows_printer(query: _Query) -> Callable[[Snapshot], None]:
    """Returns a function that prints the rows that have changed since its last call, below one header."""
    shown: set[tuple[tuple[str, str], ...]] = set()
    header = True

    def show(snapshot: Snapshot) -> None:
        nonlocal shown, header
        rows = query.rows(snapshot)
        changed = [row for row in rows if row.content not in shown]
        shown = {row.content for row in rows}
        if changed:
            print_table(changed, header=header, whole=query.form == "wide")
            sys.stdout.flush()
            header = False

    return show


def _changed_objects_printer(query: _Query) -> Callable[[Snapshot], None]:
    """Returns a function that prints the objects that have changed since its last call."""
    shown: list[dict[str, Any]] = []

    def show(snapshot: Snapshot) -> None:
        nonlocal shown
        objects = query.objects(snapshot)
        for item in objects:
            if item not in shown:
                if query.form == "yaml":
                    click.echo("---")
                query.print_object(item)
        sys.stdout.flush()
        shown = objects

    return show


def _host_printer(settings: Settings, *, form: str) -> Callable[[Snapshot], None]:
    """Returns a function that prints the host's usage if it has changed; the engine is asked once."""
    capacity = read_capacity(settings)
    if capacity.problem:
        print_note(f"warning: capacity unknown: {capacity.problem}")
    shown: dict[str, Any] = {}

    def show(snapshot: Snapshot) -> None:
        nonlocal shown
        usage = build_usage(snapshot.jobs, capacity)
        before, shown = shown, host_object(usage)
        if shown == before:
            return
        if form not in _TABLE_FORMS:
            print_data(shown, form)
        else:
            print_table(host_rows(usage), whole=True)
            if usage.waiting:
                print_table(waiting_rows(usage), whole=True)
        sys.stdout.flush()

    return show


def _print_source(settings: Settings, *, form: str) -> None:
    from reconciler.sources.git.repository_status import read_repository_status  # noqa: PLC0415  (imports the models)

    document = read_repository_status(settings)
    if form not in _TABLE_FORMS:
        print_data(document, form)
    else:
        print_table([source_row(document, wide=form == "wide")], whole=True)
