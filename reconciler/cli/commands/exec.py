"""``reconciler exec``: a command in a running container of a job, as ``kubectl exec`` has it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.cli.job_engine import connect_to_engine_of
from reconciler.cli.job_lookup import read_snapshot
from reconciler.cli.output.console import print_note
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job
    from reconciler.config.settings import Settings
    from reconciler.engines.protocol import ExecSession

#: Bytes of input that are passed on at a time.
READ_SIZE = 65536

EPILOG = """\b
Example:
  reconciler exec demo -- nvidia-smi               # rank 0
  reconciler exec -it demo --node 1 -- bash
  tar c code | reconciler exec -i demo -- tar x -C /workspace"""


@click.command(name="exec", epilog=EPILOG)
@click.argument("job", metavar="JOB", shell_complete=shared_options.complete_job)
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND...", type=click.UNPROCESSED)
@click.option("--node", type=click.IntRange(min=0), metavar="RANK", help="Node of this rank; default: 0.")
@click.option("-c", "--container", metavar="NAME", help="The container of this full name.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on to the command.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the command a terminal, where this is one.")
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "state_dir", *shared_options.ENGINE_OPTIONS)
def exec_command(
    job: str,
    command: tuple[str, ...],
    *,
    node: int | None,
    container: str | None,
    stdin: bool,
    terminal: bool,
    namespace: str | None,
    settings: Settings,
) -> int:
    """Run a command in a running container of a job; its exit status is this command's."""
    if node is not None and container is not None:
        raise click.UsageError("Give one of --node and --container.")
    found = read_snapshot(settings).find(job, namespace)
    name = _running_container(found, node, container)
    if terminal and not (stdin and sys.stdin.isatty()):
        print_note("The command gets no terminal: -t needs -i, and a terminal as standard input.")
        terminal = False
    with connect_to_engine_of(found, settings) as engine:
        session = engine.exec_session(name, command, tty=terminal, stdin=stdin)
        try:
            return _run(session, terminal=terminal, stdin=stdin)
        finally:
            session.close()


def _running_container(job: Job, rank: int | None, container: str | None) -> str:
    """The name of the container on the engine; by its id, where the status knows it.

    Raises:
        ReconcilerError: there is none, or it does not run.
    """
    if container is not None:
        return container
    known = next((node for node in job.nodes if node.rank == (rank or 0)), None)
    if known is None:
        ranks = ", ".join(str(node.rank) for node in job.nodes if node.rank is not None)
        state = f"{job.short_name} is {job.phase}" + (f": {job.message}" if job.message else ".")
        raise ReconcilerError(
            f"{job.short_name} has no node of rank {rank or 0}.",
            remedy=f"It has the ranks {ranks}." if ranks else state,
        )
    if not known.container_id or known.state not in {"running", "paused"}:
        raise ReconcilerError(
            f"{known.name} does not run: it is {known.state or 'not created'}.",
            remedy=f"{job.short_name} is {job.phase}" + (f": {job.message}" if job.message else "."),
        )
    return known.container_id


def _run(session: ExecSession, *, terminal: bool, stdin: bool) -> int:
    with _raw_terminal(session) if terminal else contextlib.nullcontext():
        if stdin:
            threading.Thread(target=_send_input, args=(session,), name="exec-input", daemon=True).start()
        for is_error, piece in session:
            stream = sys.stderr if is_error else sys.stdout
            stream.buffer.write(piece)
            stream.buffer.flush()
    return session.exit_code()


def _send_input(session: ExecSession) -> None:
    """Passes standard input on until it ends; the thread ends with the process."""
    while True:
        try:
            data = os.read(sys.stdin.fileno(), READ_SIZE)
        except OSError:
            data = b""
        if not data:
            session.close_input()
            return
        session.send(data)


@contextlib.contextmanager
def _raw_terminal(session: ExecSession) -> Iterator[None]:
    """Passes every key on to the command, Ctrl-C too, and the terminal's size whenever it changes."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def resize(*_: object) -> None:
        size = shutil.get_terminal_size()
        # The command may have ended meanwhile.
        with contextlib.suppress(ReconcilerError):
            session.resize(size.columns, size.lines)

    handler = signal.signal(signal.SIGWINCH, resize)
    tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is the command's
    try:
        resize()
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
