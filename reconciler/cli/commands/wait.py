"""``reconciler wait``: returns as the status lands, by file events; scripts rely on its exit status.

What can go wrong: a status that is older than the manifest says the end of an earlier run. An end that was
reached before the last ``rerun`` is therefore not believed, and neither, for a few seconds, is an Invalid
that is older than the manifest's last change.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.cli import shared_options

if TYPE_CHECKING:
    from reconciler.cli.job_lookup import Job
    from reconciler.config.settings import Settings
    from reconciler.state.sidecar_reader import NodeStatus

EXIT_TIMEOUT: Final = 124
#: How long a daemon has to look at a changed manifest before the old Invalid is believed again.
GRACE: Final = 3.0

EPILOG = """\b
Example:
  reconciler wait demo --timeout 30m && echo done
  reconciler wait demo --for Running
  reconciler wait demo --for delete"""


class _Goal(click.ParamType[str]):
    name = "phase"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from reconciler.config.options import did_you_mean  # noqa: PLC0415
        from reconciler.state.sidecar_reader import PHASES  # noqa: PLC0415

        word = str(value).removeprefix("condition=").removeprefix("phase=")
        names = {name.lower(): name for name in (*PHASES, "Finished", "delete")}
        found = names.get(word.lower())
        if found is None:
            hint = did_you_mean(word, names.values())
            self.fail(f"{word!r} is not one of {', '.join(names.values())}{hint}.", param, ctx)
        return found

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        from click.shell_completion import CompletionItem  # noqa: PLC0415

        from reconciler.state.sidecar_reader import PHASES  # noqa: PLC0415

        names = (*PHASES, "Finished", "delete")
        return [CompletionItem(n) for n in names if n.lower().startswith(incomplete.lower())]


@click.command(epilog=EPILOG)
@shared_options.job_argument
@click.option(
    "--for",
    "goal",
    type=_Goal(),
    default="Complete",
    show_default=True,
    metavar="PHASE",
    help="Phase to wait for; Finished: Complete or Failed; delete: until nothing is left of it.",
)
@shared_options.duration_option("--timeout", help="Give up after this long (exit status 124): 90, 90s, 30m.")
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "state_dir")
def wait(job: str, *, goal: str, timeout: float | None, namespace: str | None, settings: Settings) -> int:
    """Wait until a job has come to a phase; exit status 1 if it ended otherwise, 124 after the time-out."""
    from reconciler.cli.job_lookup import JobNotFound, Reader  # noqa: PLC0415  (not for --help)
    from reconciler.cli.output.run_progress import Shown  # noqa: PLC0415
    from reconciler.client.jobs.folder_changes import Changes  # noqa: PLC0415
    from reconciler.state.sidecar_reader import status_root  # noqa: PLC0415

    deadline = None if timeout is None else time.monotonic() + timeout
    root = status_root(settings.specs, settings.status_dir)
    reader = Reader(settings)
    with Changes([settings.specs, root]) as changes, Shown() as shown:
        while True:
            try:
                seen = reader.snapshot().find(job, namespace)
            except JobNotFound:
                shown.clear()
                if goal != "delete":
                    raise
                click.echo(f"{job}: gone")
                return 0
            shown.show(seen)
            verdict = judge(seen, goal, now=time.time(), settings=settings)
            if verdict is not None:
                shown.clear()
                click.echo(verdict.message, err=verdict.status != 0)
                return verdict.status
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                shown.clear()
                what = f"is still {seen.phase}" + (f": {seen.message}" if seen.message else "")
                click.echo(f"{seen.name}: timed out; it {what}", err=True)
                return EXIT_TIMEOUT
            # On a terminal the time left goes on between reports.
            changes.wait(min(left, 1.0) if shown.terminal else left)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The wait is over: exit status and what to say."""

    status: int
    message: str


def judge(job: Job, goal: str, *, now: float, settings: Settings) -> Verdict | None:
    """Whether what is known of the job ends the wait for ``goal``; None: wait on.

    Args:
        job: manifest and status as they are now.
        goal: a phase, ``Finished`` or ``delete``.
        now: seconds since the epoch.
        settings: say where the job's record is.
    """
    from reconciler.state.sidecar_reader import ENDED, FINISHED  # noqa: PLC0415

    if goal == "delete" or job.status is None or _is_outdated(job, now=now, settings=settings):
        return None
    phase = job.phase
    if phase == goal or (goal == "Finished" and phase in FINISHED):
        return Verdict(status=0, message=_summary(job, now))
    if phase in ENDED:
        return Verdict(status=1, message=_summary(job, now))
    return None


def failed_node(job: Job) -> NodeStatus | None:
    """The node that failed first, as far as the sidecar tells."""
    nodes = [n for n in job.status.nodes if n.exit_code not in (None, 0)] if job.status is not None else []
    return min(nodes, key=lambda n: (n.finished_at or float("inf"), n.rank or 0), default=None)


def _summary(job: Job, now: float) -> str:
    from reconciler.cli.output.console import short_duration  # noqa: PLC0415
    from reconciler.cli.output.tables import duration  # noqa: PLC0415

    ran = duration(job, now)
    text = f"{job.name}: {job.phase}" + (f" after {short_duration(ran)}" if ran is not None else "")
    if job.phase not in {"Failed", "Invalid"}:
        return text
    text += f": {job.message}" if job.message else ""
    node = failed_node(job)
    if node is not None:
        who = f"rank {node.rank} ({node.name})" if node.rank is not None else node.name
        text += f"\n{who} exited with {node.exit_code}" + (f"; its log: {node.log}" if node.log else "")
    return text


def _is_outdated(job: Job, *, now: float, settings: Settings) -> bool:
    """Whether the status is about something that is no longer what the manifest asks for."""
    from reconciler.state.sidecar_reader import FINISHED  # noqa: PLC0415

    if job.status is None:
        return True
    if job.phase in FINISHED:
        return _rerun_is_open(job, settings)
    if job.phase == "Invalid" and job.file:
        try:
            changed = Path(job.file).stat().st_mtime
        except OSError:
            return False
        return job.status.written_at < changed and now - changed < GRACE
    return False


def _rerun_is_open(job: Job, settings: Settings) -> bool:
    """Whether the manifest asks for a rerun that the daemon has not taken up."""
    from reconciler.client.manifests.manifest_editing import ANNOTATION_RERUN  # noqa: PLC0415
    from reconciler.state.sidecar_reader import parse_time  # noqa: PLC0415

    metadata = job.manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    wanted = annotations.get(ANNOTATION_RERUN) if isinstance(annotations, dict) else None
    if not wanted or job.status is None:
        return False
    honoured = job.status.status.get("rerun")
    if honoured is None:
        honoured = _recorded_rerun(job, settings)
    if honoured is not None:
        return str(honoured) != str(wanted)
    asked, ended = parse_time(wanted), job.status.finished_at
    return asked is not None and ended is not None and ended < int(asked)


def _recorded_rerun(job: Job, settings: Settings) -> str | None:
    from reconciler.errors import StateError  # noqa: PLC0415
    from reconciler.state.record_store import RecordStore  # noqa: PLC0415

    try:
        record = RecordStore(settings.state_dir / "records" / settings.instance).load(job.key)
    except StateError:
        return None  # another user's daemon: the times must do
    return record.rerun if record is not None else None
