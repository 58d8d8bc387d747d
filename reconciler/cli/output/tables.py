"""Tables of jobs, nodes and runtimes: columns chosen once, for terminals, pipes and ``--watch`` alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.job_lookup import Job
from reconciler.cli.output.console import PHASE_STYLES, short_duration
from reconciler.client.jobs.progress_display import Progress
from reconciler.common.sanitize import printable
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.state.sidecar_reader import FINISHED

if TYPE_CHECKING:
    from rich.table import Table

    from reconciler.sources.folder.catalog import Catalog
    from reconciler.state.sidecar_reader import NodeStatus


#: Columns that a narrow terminal may cut.
_MAY_BE_CUT: Final = frozenset({"METRICS", "MESSAGE"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Attributes:
        cells: texts by column.
        styles: of some columns' texts.
        ticking: columns that change by themselves (AGE); no reason to print the row anew.
    """

    cells: dict[str, str]
    styles: dict[str, str] = field(default_factory=dict)
    ticking: frozenset[str] = frozenset({"AGE", "DURATION"})

    @property
    def steady(self) -> tuple[tuple[str, str], ...]:
        """The cells that say something new when they change."""
        return tuple((k, v) for k, v in self.cells.items() if k not in self.ticking)


def job_rows(jobs: Sequence[Job], *, now: float, wide: bool, bars: bool) -> list[Row]:
    """Rows of TrainJobs.

    Args:
        jobs: in the order wanted.
        now: seconds since the epoch.
        wide: more columns.
        bars: draw progress as a bar (a terminal).
    """
    namespaces = any(job.namespace != DEFAULT_NAMESPACE for job in jobs)
    progress = [_progress(job) for job in jobs]
    rows = []
    for job, reported in zip(jobs, progress, strict=True):
        cells = {"NAMESPACE": job.namespace} if namespaces else {}
        cells |= {"NAME": job.name, "PHASE": job.phase, "NODES": _nodes(job)}
        if any(progress):
            cells["PROGRESS"] = _progress_line(job, reported, now=now, bars=bars)
        cells |= {
            "AGE": short_duration(_age(job, now)),
            "DURATION": short_duration(duration(job, now)),
            "RESTARTS": str(job.restarts),
        }
        if wide:
            cells |= _wide(job)
        if any(p is not None and p.metrics for p in progress):
            cells["METRICS"] = reported.metrics_line() if reported is not None else ""
        cells["MESSAGE"] = job.message
        rows.append(Row(cells=cells, styles={"PHASE": PHASE_STYLES.get(job.phase, ""), "MESSAGE": "dim"}))
    return rows


def node_rows(job: Job, *, wide: bool, with_job: bool) -> list[Row]:
    """Rows of a job's nodes."""
    nodes = job.status.nodes if job.status is not None else ()
    rows = []
    for node in nodes:
        cells = {"JOB": job.key if job.namespace != DEFAULT_NAMESPACE else job.name} if with_job else {}
        cells |= {
            "RANK": node.step or "-" if node.rank is None else str(node.rank),
            "CONTAINER": node.name,
            "STATE": node.state or "-",
            "IP": node.ip or "-",
            "EXIT": "-" if node.exit_code is None else str(node.exit_code),
            "DEVICES": node.devices or "-",
        }
        if wide:
            cells["RESTARTS"] = str(node.restarts)
            cells["ID"] = node.container_id[:12] or "-"
            cells["LOG"] = node.log or "-"
        rows.append(Row(cells=cells, styles={"STATE": _state_style(node)}))
    return rows


def runtime_rows(catalog: Catalog, names: Iterable[tuple[str, str, str]], *, wide: bool) -> list[Row]:
    """Rows of runtimes, by kind, namespace and name."""
    rows = []
    for key in names:
        kind, namespace, name = key
        own = catalog.runtimes.get(key)
        document = own or catalog.builtin[key]
        spec: Any = document.raw.get("spec") or {}
        policy = spec.get("mlPolicy") or {}
        labels = (document.raw.get("metadata") or {}).get("labels") or {}
        cells = {
            "KIND": kind,
            "NAMESPACE": namespace or "-",
            "NAME": name,
            "FRAMEWORK": labels.get("trainer.kubeflow.org/framework") or _framework(policy),
            "NODES": str(policy.get("numNodes") or 1),
            "SOURCE": "folder" if own else "built-in",
        }
        if wide:
            cells["FILE"] = f"{document.file}:{document.line}"
        rows.append(Row(cells=cells))
    return rows


def source_row(document: Mapping[str, Any], *, wide: bool) -> Row:
    """The row of a followed repository."""
    spec, status = document.get("spec") or {}, document.get("status") or {}
    ready: Mapping[str, str] = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    revision = str(status.get("revision") or "")
    cells = {
        "REPOSITORY": str(spec.get("url", "")),
        "REF": str(status.get("ref", "")).removeprefix("refs/heads/"),
        "PATH": str(spec.get("path") or "/"),
        "READY": ready.get("status", "Unknown"),
        "REVISION": (revision if wide else revision[:12]) or "-",
        "MESSAGE": ready.get("message", ""),
    }
    return Row(cells=cells, styles={"READY": "green" if cells["READY"] == "True" else "red"})


def table(rows: Sequence[Row], *, header: bool = True) -> Table:
    """Rows as kubectl lays them out: no lines, a bold head."""
    from rich.table import Table  # noqa: PLC0415  (not for --help)
    from rich.text import Text  # noqa: PLC0415

    columns = list(rows[0].cells) if rows else []
    result = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        # Names must stay whole (they are copied); a message may be cut on a terminal.
        result.add_column(column, no_wrap=True, overflow="ellipsis" if column in _MAY_BE_CUT else "fold")
    for row in rows:
        cells = {c: printable(row.cells[c]) for c in columns}
        result.add_row(*(Text(cells[c], style=row.styles.get(c, "")) for c in columns))
    return result


def duration(job: Job, now: float) -> float | None:
    """Seconds the job has run, or ran; None before its start."""
    if job.status is None or job.status.started_at is None:
        return None
    return max(0.0, (job.status.finished_at or now) - job.status.started_at)


def _age(job: Job, now: float) -> float | None:
    created = job.status.created_at if job.status is not None else None
    return None if created is None else max(0.0, now - created)


def _nodes(job: Job) -> str:
    total = job.nodes_total
    return "-" if total is None else f"{job.nodes_ready}/{total}"


def _progress(job: Job) -> Progress | None:
    return Progress.of(job.status.status.get("trainerStatus")) if job.status is not None else None


def _progress_line(job: Job, progress: Progress | None, *, now: float, bars: bool) -> str:
    """On a terminal the time left goes on between reports; elsewhere a line says what was reported."""
    if progress is None:
        return ""
    left = None if job.phase in FINISHED else progress.remaining(now) if bars else progress.left
    return progress.line(bar=bars, left=left)


def _wide(job: Job) -> dict[str, str]:
    status = job.status.status if job.status is not None else {}
    engine = status.get("engine") or {}
    network = status.get("network") or {}
    ref = job.spec.get("runtimeRef")
    trainer = job.spec.get("trainer")
    return {
        "RUNTIME": str(ref.get("name", "-")) if isinstance(ref, dict) else "-",
        "IMAGE": str(trainer.get("image", "-")) if isinstance(trainer, dict) else "-",
        "ATTEMPT": str(job.status.attempt) if job.status is not None else "-",
        "ENGINE": f"{engine.get('name', '-')} {engine.get('version', '')}".strip() if engine else "-",
        "SUBNET": str(network.get("subnet") or "-") if network else "-",
        "FILE": job.file or "-",
    }


def _state_style(node: NodeStatus) -> str:
    if node.exit_code not in (None, 0):
        return "red"
    return "green" if node.exit_code == 0 else "blue" if node.ready else "yellow"


def _framework(policy: Any) -> str:
    named = [key for key in policy if key != "numNodes"] if isinstance(policy, dict) else []
    return named[0] if named else "plain"
