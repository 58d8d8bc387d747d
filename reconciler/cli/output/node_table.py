"""The columns of ``get nodes``, also of the nodes in ``describe``."""

from __future__ import annotations

from reconciler.cli.output.tables import Row
from reconciler.client.jobs.job_snapshots import Job
from reconciler.state.sidecar_reader import NodeStatus


def node_rows(job: Job, *, wide: bool, with_job: bool) -> list[Row]:
    """Builds a row for each node of a job, and for each container of its other steps."""
    rows = []
    for node in job.nodes:
        cells = {"JOB": job.short_name} if with_job else {}
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


def _state_style(node: NodeStatus) -> str:
    if node.exit_code not in (None, 0):
        return "red"
    return "green" if node.exit_code == 0 else "blue" if node.ready else "yellow"
