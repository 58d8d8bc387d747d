"""``reconciler completion``: the shell script that completes commands, options and job names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EPILOG = """\b
Example:
  eval "$(reconciler completion bash)"                              # in ~/.bashrc
  reconciler completion zsh > "${fpath[1]}/_reconciler"
  reconciler completion fish > ~/.config/fish/completions/reconciler.fish"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  (the three are click's own)
    root = ctx.find_root().command
    script = found(root, {}, "reconciler", "_RECONCILER_COMPLETE").source()
    click.echo(script)  # noqa: TID251  (nothing of others is in it)
