"""``reconciler get``: what there is, for people (tables, ``--watch``) and for scripts (``-o json|yaml``)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli import shared_options
from reconciler.config.options import did_you_mean
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.cli.job_lookup import Job, Reader, Snapshot
    from reconciler.cli.output.tables import Row
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler get jobs
  reconciler get jobs --watch
  reconciler get jobs demo -o json | jq .status.phase
  reconciler get nodes demo -o wide
  reconciler get runtimes
  reconciler get host
  reconciler get source            # of a daemon that follows a repository"""

_KINDS: Final = {
    "jobs": ("jobs", "job", "trainjobs", "trainjob", "tj"),
    "runtimes": ("runtimes", "runtime", "clustertrainingruntimes", "trainingruntimes"),
    "nodes": ("nodes", "node", "pods", "pod"),
    "host": ("host", "capacity", "queue"),
    "source": ("source", "sources", "git", "gitrepository", "gitrepositories"),
}


class _Kind(click.ParamType[str]):
    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind = next((kind for kind, words in _KINDS.items() if str(value).lower() in words), None)
        if kind is None:
            hint = did_you_mean(str(value), _KINDS)
            self.fail(f"{value!r} is not one of {', '.join(_KINDS)}{hint}.", param, ctx)
        return kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        return [CompletionItem(kind) for kind in _KINDS if kind.startswith(incomplete)]


@click.command(epilog=EPILOG)
@click.argument("kind", type=_Kind(), metavar="jobs|runtimes|nodes|host|source")
@click.argument("name", required=False, metavar="[NAME]", shell_complete=shared_options.complete_job)
@shared_options.output_option("table", "wide", "yaml", "json", default="table")
@click.option("-w", "--watch", is_flag=True, help="Go on, and show every change.")
@shared_options.namespace_option
@shared_options.settings_options(*shared_options.PLACES)
def get(
    kind: str, name: str | None, *, form: str, watch: bool, namespace: str | None, settings: Settings
) -> None:
    """List jobs, runtimes or nodes (of the job NAME, or of all).

    `host`: what there is, and who waits; `source`: the repository that is followed, and its revision.
    """
    from reconciler.cli.job_lookup import Reader  # noqa: PLC0415  (not for --help)

    if kind == "source":
        _source(settings, form=form)
        return
    reader = Reader(settings)
    if kind == "host":
        _host(reader, settings, form=form, watch=watch)
        return
    view = _View(kind=kind, name=name, namespace=namespace, form=form)
    snapshot = reader.snapshot()
    _tell_problems(snapshot)
    if not watch:
        view.show(snapshot, now=time.time())
    elif form in {"table", "wide"}:
        _watch_table(view, reader, snapshot, settings)
    else:
        _watch_objects(view, reader, snapshot, settings)


def _host(reader: Reader, settings: Settings, *, form: str, watch: bool) -> None:
    from reconciler.cli.output import host_table  # noqa: PLC0415  (not for --help)
    from reconciler.cli.output.console import emit, note, show  # noqa: PLC0415
    from reconciler.cli.output.tables import table  # noqa: PLC0415

    capacity = host_table.ask(settings)
    if capacity.problem:
        note(f"warning: capacity unknown: {capacity.problem}")
    shown: dict[str, Any] = {}

    def draw(snapshot: Snapshot) -> None:
        nonlocal shown
        found = host_table.look(snapshot.jobs, capacity)
        before, shown = shown, host_table.as_object(found)
        if shown == before:
            return
        if form in {"json", "yaml"}:
            emit(shown, form)
        else:
            show(table(host_table.rows(found)))
            if found.waiting:
                show(table(host_table.waiting_rows(found)))
        sys.stdout.flush()

    snapshot = reader.snapshot()
    _tell_problems(snapshot)
    draw(snapshot)
    if watch:
        _on_change(reader, settings, draw)


def _source(settings: Settings, *, form: str) -> None:
    from reconciler.cli.output.console import emit, show  # noqa: PLC0415
    from reconciler.cli.output.tables import source_row, table  # noqa: PLC0415
    from reconciler.sources.git.repository_status import read_report  # noqa: PLC0415

    document = read_report(settings)
    if form in {"json", "yaml"}:
        emit(document, form)
    else:
        show(table([source_row(document, wide=form == "wide")]))


class _View:
    """What was asked for, applied to a snapshot."""

    def __init__(self, *, kind: str, name: str | None, namespace: str | None, form: str) -> None:
        self.kind = kind
        self.name = name
        self.namespace = namespace
        self.form = form

    def show(self, snapshot: Snapshot, *, now: float) -> None:
        """Print once."""
        from reconciler.cli.output.console import console, emit, note, show  # noqa: PLC0415
        from reconciler.cli.output.tables import table  # noqa: PLC0415

        if self.form in {"json", "yaml"}:
            objects = self.objects(snapshot)
            single = self.name is not None and self.kind != "nodes"
            emit(objects[0] if single else _as_list(objects), self.form)
            return
        rows = self.rows(snapshot, now=now, bars=console().is_terminal)
        if rows:
            show(table(rows))
        else:
            note(f"There are no {self.kind} here.")

    def rows(self, snapshot: Snapshot, *, now: float, bars: bool) -> list[Row]:
        """Lines of the table."""
        from reconciler.cli.output import tables  # noqa: PLC0415

        wide = self.form == "wide"
        if self.kind == "runtimes":
            return tables.runtime_rows(snapshot.catalog, self._runtimes(snapshot), wide=wide)
        jobs = self._jobs(snapshot)
        if self.kind == "jobs":
            return tables.job_rows(jobs, now=now, wide=wide, bars=bars)
        several = self.name is None
        return [row for job in jobs for row in tables.node_rows(job, wide=wide, with_job=several)]

    def objects(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """The same for scripts."""
        if self.kind == "jobs":
            return [job.as_object() for job in self._jobs(snapshot)]
        if self.kind == "nodes":
            return [_node_object(job, i) for job in self._jobs(snapshot) for i in range(_node_count(job))]
        catalog = snapshot.catalog
        documents = [catalog.runtimes.get(k) or catalog.builtin[k] for k in self._runtimes(snapshot)]
        return [dict(document.raw) for document in documents]

    def _jobs(self, snapshot: Snapshot) -> Sequence[Job]:
        if self.name is not None:
            return [snapshot.find(self.name, self.namespace)]
        return [j for j in snapshot.jobs if self.namespace in (None, j.namespace)]

    def _runtimes(self, snapshot: Snapshot) -> list[tuple[str, str, str]]:
        keys = sorted({*snapshot.catalog.runtimes, *snapshot.catalog.builtin})
        keys = [k for k in keys if self.namespace in (None, k[1])]
        if self.name is None:
            return keys
        found = [key for key in keys if key[2] == self.name]
        if not found:
            names = sorted({key[2] for key in keys})
            there = f"There are: {', '.join(names)}." if names else "There is no runtime at all."
            raise ReconcilerError(
                f"There is no runtime {self.name}{did_you_mean(self.name, names)}.", remedy=there
            )
        return found


def _as_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _node_count(job: Job) -> int:
    return len(job.status.nodes) if job.status is not None else 0


def _node_object(job: Job, index: int) -> dict[str, Any]:
    raw = job.status.status.get("nodes") if job.status is not None else None
    return {"namespace": job.namespace, "job": job.name, **(raw[index] if isinstance(raw, list) else {})}


def _tell_problems(snapshot: Snapshot) -> None:
    from reconciler.cli.output.console import note  # noqa: PLC0415

    for problem in snapshot.problems:
        note(f"warning: {problem.message}")


def _watch_table(view: _View, reader: Reader, snapshot: Snapshot, settings: Settings) -> None:
    from rich.live import Live  # noqa: PLC0415

    from reconciler.cli.output.console import console  # noqa: PLC0415
    from reconciler.cli.output.tables import table  # noqa: PLC0415

    screen = console()
    if not screen.is_terminal:
        _append_rows(view, reader, snapshot, settings)
        return
    with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:

        def draw(latest: Snapshot) -> None:
            live.update(table(view.rows(latest, now=time.time(), bars=True)), refresh=True)

        draw(snapshot)
        _on_change(reader, settings, draw)


def _append_rows(view: _View, reader: Reader, snapshot: Snapshot, settings: Settings) -> None:
    from reconciler.cli.output.console import show  # noqa: PLC0415
    from reconciler.cli.output.tables import table  # noqa: PLC0415

    shown: set[tuple[tuple[str, str], ...]] = set()
    header = True

    def append(latest: Snapshot) -> None:
        nonlocal shown, header
        rows = view.rows(latest, now=time.time(), bars=False)
        fresh = [row for row in rows if row.steady not in shown]
        shown = {row.steady for row in rows}
        if fresh:
            show(table(fresh, header=header))
            sys.stdout.flush()
            header = False

    append(snapshot)
    _on_change(reader, settings, append)


def _watch_objects(view: _View, reader: Reader, snapshot: Snapshot, settings: Settings) -> None:
    from reconciler.cli.output.console import emit  # noqa: PLC0415

    shown: list[dict[str, Any]] = []

    def append(latest: Snapshot) -> None:
        nonlocal shown
        objects = view.objects(latest)
        for item in objects:
            if item not in shown:
                if view.form == "yaml":
                    click.echo("---")
                emit(item, view.form)
        sys.stdout.flush()
        shown = objects

    append(snapshot)
    _on_change(reader, settings, append)


def _on_change(reader: Reader, settings: Settings, act: Callable[[Snapshot], None]) -> None:
    """Call ``act`` with a new snapshot after every change, and once a second at least; for ever."""
    from reconciler.client.jobs.folder_changes import LOOK_AGAIN, Changes  # noqa: PLC0415
    from reconciler.state.sidecar_reader import status_root  # noqa: PLC0415

    root = status_root(settings.specs, settings.status_dir)
    with Changes([settings.specs, root]) as changes:
        while True:
            # Looking comes first: something may have changed before the watch began.
            act(reader.snapshot())
            changes.wait(LOOK_AGAIN)
