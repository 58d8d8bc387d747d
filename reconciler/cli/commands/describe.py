"""``reconciler describe``: one job on one page, the way ``kubectl describe`` lays it out."""

from __future__ import annotations

import shlex
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli import shared_options
from reconciler.cli.job_lookup import read_snapshot, reported_progress, run_time
from reconciler.cli.output.console import PHASE_STYLES, print_block
from reconciler.cli.output.event_table import event_rows, job_events
from reconciler.cli.output.node_table import node_rows
from reconciler.cli.output.tables import Fields, Row, build_table
from reconciler.client.jobs.log_selection import find_log_folder
from reconciler.common.durations import format_duration
from reconciler.common.mappings import mapping_at
from reconciler.common.sanitize import sanitize_text
from reconciler.state.sidecar_reader import mappings_in

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reconciler.client.jobs.job_snapshots import Job
    from reconciler.config.settings import Settings
    from reconciler.state.sidecar_reader import ObjectStatus

#: Blanks before the lines of a section.
INDENT: Final = 2

EPILOG = """\b
Example:
  reconciler describe demo
  reconciler describe job demo
  reconciler describe team-a/demo"""


@click.command(epilog=EPILOG)
@shared_options.job_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "log_dir", "state_dir")
def describe(job: str, *, namespace: str | None, settings: Settings) -> None:
    """Show all that is known about one job: spec, conditions, nodes, events, faults, logs."""
    found = read_snapshot(settings).find(job, namespace)
    for block in _page(found, settings, now=time.time()):
        print_block(block)


def _page(job: Job, settings: Settings, *, now: float) -> Iterator[RenderableType]:
    """The blocks from top to bottom; a section without content is left out."""
    status = job.status
    yield _fields(_head(job, now), indent=0)
    yield from _section("Spec", _fields(_spec(job)))
    if progress := _progress(job):
        yield from _section("Progress", _fields(progress))
    if status is not None and status.conditions:
        yield from _section("Conditions", build_table(_condition_rows(status), whole=True, indent=INDENT))
    if steps := mappings_in(job.reported.get("jobsStatus")):
        yield from _section("Steps", build_table(_step_rows(steps), whole=True, indent=INDENT))
    if nodes := node_rows(job, wide=True, with_job=False):
        yield from _section("Nodes", build_table(nodes, whole=True, indent=INDENT))
    if faults := "\n".join(_faults(job)):
        yield from _section("Faults", _lines(faults))
    if events := event_rows(job_events([job]), now=now, with_job=False):
        yield from _section("Events", build_table(events, whole=True, indent=INDENT))
    yield from _section("Logs", _lines(str(find_log_folder(job, settings.log_dir))))


def _head(job: Job, now: float) -> Mapping[str, str]:
    status = job.status
    head = {"Name": job.name, "Namespace": job.namespace, "Phase": job.phase}
    if job.message:
        head["Message"] = job.message
    head["Manifest"] = job.file or "(gone)"
    if source := mapping_at(job.reported, "source"):
        head["Source"] = f"{source.get('repository', '')} {source.get('path', '')}".strip()
        head["Revision"] = f"{source.get('ref', '')}@{source.get('revision', '')}".removeprefix("refs/heads/")
    if job.entry is not None and job.entry.stale:
        head["Manifest"] += " (its last good state is in force)"
    if status is None:
        return head
    observed = status.status.get("observedGeneration", "-")
    head |= {
        "Status file": str(status.file),
        "UID": str(status.metadata.get("uid", "-")),
        "Generation": f"{status.metadata.get('generation', '-')} (observed: {observed})",
        "Created": _format_time(status.created_at),
        "Started": _format_time(status.started_at),
        "Finished": _format_time(status.finished_at),
        "Duration": format_duration(run_time(job, now)),
        "Attempt": str(status.attempt),
        "Restarts": str(job.restarts),
    }
    if engine := status.status.get("engine"):
        head["Engine"] = f"{engine.get('name', '-')} {engine.get('version', '')}".strip()
    if network := status.status.get("network"):
        head["Network"] = f"{network.get('name', '-')} {network.get('subnet', '')}".strip()
    return head


def _spec(job: Job) -> Mapping[str, str]:
    """What the manifest asks for, in short; the whole is `get jobs NAME -o yaml`."""
    spec = job.spec
    trainer, ref = mapping_at(spec, "trainer"), mapping_at(spec, "runtimeRef")
    fields = {
        "Runtime": f"{ref.get('kind') or 'ClusterTrainingRuntime'}/{ref.get('name', '-')}",
        "Nodes": trainer.get("numNodes"),
        "Processes per node": trainer.get("numProcPerNode"),
        "Image": trainer.get("image"),
        "Command": _command_line(trainer.get("command")),
        "Args": _command_line(trainer.get("args")),
        "Environment": ", ".join(str(entry.get("name")) for entry in mappings_in(trainer.get("env"))),
        "Resources per node": _resources(trainer.get("resourcesPerNode")),
        "Initializers": ", ".join(mapping_at(spec, "initializer")),
        "Deadline": f"{spec['activeDeadlineSeconds']}s" if spec.get("activeDeadlineSeconds") else None,
        "Suspend": spec.get("suspend"),
        "Patches": ", ".join(str(p.get("manager", "?")) for p in mappings_in(spec.get("runtimePatches"))),
    }
    return {name: str(value) for name, value in fields.items() if value not in (None, "")}


def _progress(job: Job) -> Mapping[str, str]:
    progress = reported_progress(job)
    if progress is None:
        return {}
    done = {} if progress.percent is None else {"Done": f"{progress.percent:.0f}%"}
    left = {} if progress.seconds_left is None else {"Left": format_duration(progress.seconds_left)}
    return {**done, **left, **progress.metrics}


def _condition_rows(status: ObjectStatus) -> list[Row]:
    return [
        Row(
            cells={
                "TYPE": str(c.get("type", "")),
                "STATUS": str(c.get("status", "")),
                "REASON": str(c.get("reason", "")),
                "SINCE": str(c.get("lastTransitionTime", "-")),
                "MESSAGE": str(c.get("message", "")),
            }
        )
        for c in status.conditions
    ]


def _step_rows(steps: Iterable[Mapping[str, Any]]) -> list[Row]:
    counts = ("active", "ready", "succeeded", "failed", "suspended")
    return [
        Row(cells={"STEP": str(step.get("name", "")), **{c.upper(): str(step.get(c, 0)) for c in counts}})
        for step in steps
    ]


def _faults(job: Job) -> Iterable[str]:
    """The faults of the manifest as it is now, then those that only the daemon found, then warnings."""
    entry = job.entry
    lines = {(f.path, f.message): str(f) for f in (entry.errors if entry is not None else ())}
    for error in job.status.errors if job.status is not None else ():
        line = f":{error['line']}" if error.get("line") else ""
        place = f"{error.get('file')}{line}: " if error.get("file") else ""
        path = f"{error['path']}: " if error.get("path") else ""
        message = error.get("message", "")
        lines.setdefault((error.get("path", ""), message), f"{place}{path}{message}")
    warnings = entry.warnings if entry is not None else ()
    return dict.fromkeys([*lines.values(), *(f"warning: {fault}" for fault in warnings)])


def _section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    from rich.text import Text  # noqa: PLC0415  (not for --help)

    yield ""
    yield Text(f"{title}:", style="bold")
    yield body


def _fields(fields: Mapping[str, str], *, indent: int = INDENT) -> RenderableType:
    return Fields(fields, styles={"Phase": PHASE_STYLES.get(fields.get("Phase", ""), "")}, indent=indent)


def _lines(text: str) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415  (not for --help)
    from rich.text import Text  # noqa: PLC0415

    # A plain text of ours may hold [brackets], which are no markup; a path is not broken.
    indented = textwrap.indent(sanitize_text(text), " " * INDENT)
    return Group(Text(indented, no_wrap=True, overflow="ignore"))  # a text alone would be wrapped again


def _format_time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _command_line(words: Any) -> str:
    """The words as a shell has them; of several lines the first."""
    text = shlex.join(map(str, words)) if isinstance(words, list) else ""
    lines = text.splitlines()
    return f"{lines[0]} ... ({len(lines)} lines)" if len(lines) > 1 else text


def _resources(value: Any) -> str:
    """Requests and limits in one list; the limits win."""
    merged: dict[str, Any] = {}
    for part in ("requests", "limits"):
        merged |= mapping_at(value, part)
    return ", ".join(f"{name}={amount}" for name, amount in merged.items())
