"""What containers print with the time of each line: ``logs --since`` and ``--timestamps``.

Kept logs have no times: they are what was printed, byte for byte. Engines know them as long as a container is
there, so it is the engine that is asked; where it has the container no more, an error says so instead of
guessing.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click

from reconciler.cli.job_engine import connect_to_engine_of
from reconciler.common.sanitize import sanitize_output
from reconciler.errors import EngineUnavailable, NotFound, ReconcilerError
from reconciler.state.timestamps import parse_time

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job
    from reconciler.client.jobs.log_selection import LogSelection
    from reconciler.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DatedOutput:
    """Which lines, and how.

    Attributes:
        since: seconds since the epoch; None: from the beginning.
        timestamps: print the time before each line.
        follow: go on until the container has exited.
        tail: the last lines of each container; None: all.
    """

    since: float | None
    timestamps: bool
    follow: bool
    tail: int | None


def print_dated(job: Job, selection: LogSelection, settings: Settings, wanted: DatedOutput) -> None:
    """Prints the output of the selected containers.

    Raises:
        ReconcilerError: a container is not there any more, or its engine keeps no times.
    """
    chosen = _select(job, selection)
    if not chosen:
        raise _without_times(
            job, selection.container_name(job) or job.short_name, "it has had no container yet"
        )
    if wanted.follow and len(chosen) > 1:
        raise click.UsageError("With --since or --timestamps, -f follows one container: give --node.")
    try:
        with connect_to_engine_of(job, settings) as engine:
            for container, (name, label) in chosen.items():
                try:
                    logs = engine.dated_logs(
                        container, since=wanted.since, follow=wanted.follow, tail=wanted.tail
                    )
                    _print(logs, label if len(chosen) > 1 else "", wanted)
                except NotFound:
                    raise _without_times(job, name, "its container is removed") from None
    except EngineUnavailable as error:
        raise _without_times(job, job.short_name, "the engine does not answer") from error


def _select(job: Job, selection: LogSelection) -> dict[str, tuple[str, str]]:
    """Ids of containers, as far as the status has them, with their names and labels."""
    if selection.container is not None:
        return {selection.container: (selection.container, "")}
    return {
        node.container_id: (node.name, label)
        for node in job.nodes
        if node.container_id and (label := selection.label_for(job, node.name)) is not None
    }


def _without_times(job: Job, name: str, why: str) -> ReconcilerError:
    return ReconcilerError(
        f"There are no times of what {name} has printed: {why}, and a kept log has none.",
        remedy=f"Without --since and --timestamps: reconciler logs {job.short_name}. "
        "With --no-auto-remove the containers of a job that has ended stay, and their times with them.",
    )


def _print(logs: object, label: str, wanted: DatedOutput) -> None:
    # Engines give generators: closing one ends the request.
    prefix = f"[{label}] ".encode() if label else b""
    with closing(cast("Generator[bytes, None, None]", logs)) as pieces:
        for line in _lines(pieces):
            time, _, text = line.partition(b" ")
            at = parse_time(time.decode(errors="replace"))
            if at is None:
                text = line  # the rest of a line that the engine has in pieces
            elif wanted.since is not None and at < (wanted.since if b"." in time else int(wanted.since)):
                continue  # engines take whole seconds; some give them, too
            shown = line if wanted.timestamps else text
            sys.stdout.buffer.write(
                prefix + (sanitize_output(shown) if sys.stdout.isatty() else shown) + b"\n"
            )
            sys.stdout.flush()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
