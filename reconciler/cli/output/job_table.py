"""The columns of ``get jobs``, also of the live table of ``run --wait``."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cli.job_lookup import reported_progress, run_time
from reconciler.cli.output.console import PHASE_STYLES
from reconciler.cli.output.tables import Row
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.progress_display import Progress
from reconciler.common.durations import format_duration
from reconciler.common.mappings import mapping_at
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.state.phases import FINISHED_PHASES


def job_rows(
    jobs: Sequence[Job], *, now: float, wide: bool, bars: bool, namespaces: bool = False
) -> list[Row]:
    """Builds a row for each TrainJob; NAMESPACE, PROGRESS and METRICS only where one of them has any.

    Args:
        jobs: in the order of the rows.
        now: seconds since the epoch.
        wide: more columns.
        bars: draw progress as a bar (a terminal).
        namespaces: also where all are of the default one.
    """
    namespaces = namespaces or any(job.namespace != DEFAULT_NAMESPACE for job in jobs)
    progress = [reported_progress(job) for job in jobs]
    rows = []
    for job, reported in zip(jobs, progress, strict=True):
        cells = {"NAMESPACE": job.namespace} if namespaces else {}
        cells |= {"NAME": job.name, "PHASE": job.phase, "NODES": _nodes(job)}
        if any(progress):
            cells["PROGRESS"] = _progress(job, reported, now=now, bars=bars)
        cells |= {
            "AGE": format_duration(_age(job, now)),
            "DURATION": format_duration(run_time(job, now)),
            "RESTARTS": str(job.restarts),
        }
        if wide:
            cells |= _wide_cells(job)
        if any(p is not None and p.metrics for p in progress):
            cells["METRICS"] = reported.render_metrics() if reported is not None else ""
        cells["MESSAGE"] = job.message
        rows.append(Row(cells=cells, styles={"PHASE": PHASE_STYLES.get(job.phase, ""), "MESSAGE": "dim"}))
    return rows


def _wide_cells(job: Job) -> dict[str, str]:
    engine = mapping_at(job.reported, "engine")
    return {
        "RUNTIME": str(mapping_at(job.spec, "runtimeRef").get("name", "-")),
        "IMAGE": str(mapping_at(job.spec, "trainer").get("image", "-")),
        "ATTEMPT": str(job.status.attempt) if job.status is not None else "-",
        "ENGINE": f"{engine.get('name', '-')} {engine.get('version', '')}".strip() if engine else "-",
        "SUBNET": str(mapping_at(job.reported, "network").get("subnet") or "-"),
        "FILE": job.file or "-",
    }


def _age(job: Job, now: float) -> float | None:
    created = job.status.created_at if job.status is not None else None
    return None if created is None else max(0.0, now - created)


def _nodes(job: Job) -> str:
    total = job.nodes_total
    return "-" if total is None else f"{job.nodes_ready}/{total}"


def _progress(job: Job, progress: Progress | None, *, now: float, bars: bool) -> str:
    """On a terminal the time left goes on between reports; elsewhere it is what was reported."""
    if progress is None:
        return ""
    left = progress.seconds_left_at(now) if bars else progress.seconds_left
    return progress.render_estimate(bar=bars, seconds_left=None if job.phase in FINISHED_PHASES else left)
