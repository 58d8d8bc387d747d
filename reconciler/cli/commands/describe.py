"""``reconciler describe``: everything about one job on one page, the way ``kubectl describe`` lays it out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import shared_options
from reconciler.common.sanitize import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reconciler.cli.job_lookup import Job
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler describe demo
  reconciler describe team-a/demo"""


@click.command(epilog=EPILOG)
@shared_options.job_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "log_dir", "state_dir")
def describe(job: str, *, namespace: str | None, settings: Settings) -> None:
    """Tell everything about one job: spec, conditions, nodes, events, faults, logs."""
    from reconciler.cli.job_lookup import take  # noqa: PLC0415  (not for --help)
    from reconciler.cli.output.console import show  # noqa: PLC0415

    found = take(settings).find(job, namespace)
    for block in blocks(found, settings, now=time.time()):
        show(block)


def blocks(job: Job, settings: Settings, *, now: float) -> Iterable[RenderableType]:
    """The page from top to bottom; parts about which nothing is known are left out."""
    from reconciler.cli.output.tables import node_rows, table  # noqa: PLC0415
    from reconciler.client.jobs.log_lines import log_folder  # noqa: PLC0415

    yield _fields(_head(job, now))
    yield from _section("Spec", _fields(_spec(job)))
    progress = _progress(job)
    if progress:
        yield from _section("Progress", _fields(progress))
    if job.status is not None and job.status.conditions:
        yield from _section("Conditions", _conditions(job))
    counts = _counts(job)
    if counts is not None:
        yield from _section("Steps", counts)
    rows = node_rows(job, wide=True, with_job=False)
    if rows:
        yield from _section("Nodes", table(rows))
    if faults := list(_faults(job)):
        yield from _section("Faults", "\n".join(faults))
    if job.status is not None and job.status.events:
        yield from _section("Events", _events(job, now))
    yield from _section("Logs", str(log_folder(job, settings.log_dir)))


def _head(job: Job, now: float) -> Mapping[str, str]:
    from reconciler.cli.output.console import clock, short_duration  # noqa: PLC0415
    from reconciler.cli.output.tables import duration  # noqa: PLC0415

    status = job.status
    head = {"Name": job.name, "Namespace": job.namespace, "Phase": job.phase}
    if job.message:
        head["Message"] = job.message
    head["Manifest"] = job.file or "(gone)"
    source = status.status.get("source") if status is not None else None
    if isinstance(source, Mapping):
        head["Source"] = f"{source.get('repository', '')} {source.get('path', '')}".strip()
        head["Revision"] = f"{source.get('ref', '')}@{source.get('revision', '')}".removeprefix("refs/heads/")
    if job.entry is not None and job.entry.stale:
        head["Manifest"] += " (its last good state is in force)"
    if status is None:
        return head
    engine = status.status.get("engine") or {}
    network = status.status.get("network") or {}
    head |= {
        "Status file": str(status.file),
        "UID": str(status.metadata.get("uid", "-")),
        "Generation": f"{status.metadata.get('generation', '-')} (observed: "
        f"{status.status.get('observedGeneration', '-')})",
        "Created": clock(status.created_at),
        "Started": clock(status.started_at),
        "Finished": clock(status.finished_at),
        "Duration": short_duration(duration(job, now)),
        "Attempt": str(status.attempt),
        "Restarts": str(job.restarts),
    }
    if engine:
        head["Engine"] = f"{engine.get('name', '-')} {engine.get('version', '')}".strip()
    if network:
        head["Network"] = f"{network.get('name', '-')} {network.get('subnet', '')}".strip()
    return head


def _spec(job: Job) -> Mapping[str, str]:
    """What the manifest asks for, in short; the whole is `get jobs NAME -o yaml`."""
    spec = job.spec
    trainer = spec.get("trainer")
    trainer = trainer if isinstance(trainer, Mapping) else {}
    ref = spec.get("runtimeRef")
    ref = ref if isinstance(ref, Mapping) else {}
    out = {"Runtime": f"{ref.get('kind') or 'ClusterTrainingRuntime'}/{ref.get('name', '-')}"}
    fields = {
        "Nodes": trainer.get("numNodes"),
        "Processes per node": trainer.get("numProcPerNode"),
        "Image": trainer.get("image"),
        "Command": _words(trainer.get("command")),
        "Args": _words(trainer.get("args")),
        "Environment": ", ".join(_names(trainer.get("env"))),
        "Resources per node": _resources(trainer.get("resourcesPerNode")),
        "Initializers": ", ".join(spec["initializer"])
        if isinstance(spec.get("initializer"), Mapping)
        else None,
        "Deadline": f"{spec['activeDeadlineSeconds']}s" if spec.get("activeDeadlineSeconds") else None,
        "Suspend": spec.get("suspend"),
        "Patches": ", ".join(str(p.get("manager", "?")) for p in _maps(spec.get("runtimePatches"))),
    }
    return out | {name: str(value) for name, value in fields.items() if value not in (None, "")}


def _progress(job: Job) -> Mapping[str, str]:
    from reconciler.cli.output.console import short_duration  # noqa: PLC0415
    from reconciler.client.jobs.progress_display import Progress  # noqa: PLC0415

    progress = Progress.of(job.status.status.get("trainerStatus")) if job.status is not None else None
    if progress is None:
        return {}
    done = {} if progress.percent is None else {"Done": f"{progress.percent:.0f}%"}
    left = {} if progress.left is None else {"Left": short_duration(progress.left)}
    return {**done, **left, **progress.metrics}


def _conditions(job: Job) -> RenderableType:
    from reconciler.cli.output.tables import Row, table  # noqa: PLC0415

    rows = [
        Row(
            cells={
                "TYPE": str(c.get("type", "")),
                "STATUS": str(c.get("status", "")),
                "REASON": str(c.get("reason", "")),
                "SINCE": str(c.get("lastTransitionTime", "-")),
                "MESSAGE": str(c.get("message", "")),
            }
        )
        for c in (job.status.conditions if job.status is not None else ())
    ]
    return table(rows)


def _counts(job: Job) -> RenderableType | None:
    from reconciler.cli.output.tables import Row, table  # noqa: PLC0415

    steps = _maps(job.status.status.get("jobsStatus") if job.status is not None else None)
    states = ("active", "ready", "succeeded", "failed", "suspended")
    rows = [
        Row(
            cells={
                "STEP": str(step.get("name", "")),
                **{state.upper(): str(step.get(state, 0)) for state in states},
            }
        )
        for step in steps
    ]
    return table(rows) if rows else None


def _faults(job: Job) -> Iterable[str]:
    """What the manifest is read to have now, then what only the daemon tells."""
    entry = job.entry
    seen = {(f.path, f.message): str(f) for f in (entry.errors if entry is not None else ())}
    for error in job.status.errors if job.status is not None else ():
        line = f":{error['line']}" if error.get("line") else ""
        place = f"{error.get('file')}{line}: " if error.get("file") else ""
        path = f"{error['path']}: " if error.get("path") else ""
        message = error.get("message", "")
        seen.setdefault((error.get("path", ""), message), f"{place}{path}{message}")
    warnings = entry.warnings if entry is not None else ()
    return dict.fromkeys([*seen.values(), *(f"warning: {fault}" for fault in warnings)])


def _events(job: Job, now: float) -> RenderableType:
    from reconciler.cli.output.console import short_duration  # noqa: PLC0415
    from reconciler.cli.output.tables import Row, table  # noqa: PLC0415
    from reconciler.state.sidecar_reader import parse_time  # noqa: PLC0415

    rows = []
    for event in job.status.events if job.status is not None else ():
        at = parse_time(event.get("time"))
        count = event.get("count")
        times = f" (x{count})" if isinstance(count, int) and count > 1 else ""
        rows.append(
            Row(
                cells={
                    "AGE": f"{short_duration(None if at is None else now - at)}{times}",
                    "TYPE": str(event.get("type", "")),
                    "REASON": str(event.get("reason", "")),
                    "MESSAGE": str(event.get("message", "")),
                },
                styles={"TYPE": "yellow" if event.get("type") == "Warning" else ""},
            )
        )
    return table(rows)


def _section(title: str, body: RenderableType) -> Iterable[RenderableType]:
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    yield ""
    yield Text(f"{title}:", style="bold")
    # A plain text of ours may hold [brackets], which are no markup.
    yield Padding(Text(printable(body)) if isinstance(body, str) else body, (0, 0, 0, 2), expand=False)


def _fields(fields: Mapping[str, str]) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from reconciler.cli.output.console import PHASE_STYLES  # noqa: PLC0415

    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        shown = printable(value)
        grid.add_row(
            f"{printable(name)}:", Text(shown, style=PHASE_STYLES.get(value, "") if name == "Phase" else "")
        )
    return grid


def _words(value: Any) -> str:
    import shlex  # noqa: PLC0415

    text = shlex.join(map(str, value)) if isinstance(value, list) else ""
    lines = text.splitlines()
    return f"{lines[0]} ... ({len(lines)} lines)" if len(lines) > 1 else text


def _names(value: Any) -> list[str]:
    return [str(entry.get("name")) for entry in _maps(value)]


def _resources(value: Any) -> str:
    merged: dict[str, Any] = {}
    for part in ("requests", "limits"):
        found = value.get(part) if isinstance(value, Mapping) else None
        merged |= found if isinstance(found, Mapping) else {}
    return ", ".join(f"{name}={amount}" for name, amount in merged.items())


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
