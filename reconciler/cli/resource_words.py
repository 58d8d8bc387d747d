"""Words for kinds of resources as fingers know them from kubectl: ``jobs``, ``job X``, ``trainjob/X``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli.shared_options import Word, complete_job
from reconciler.names import JOB_WORDS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Kinds, and further words that users may type for each.
KINDS: Final[Mapping[str, Sequence[str]]] = {
    "jobs": JOB_WORDS[1:],
    "runtimes": (
        "runtime", "clustertrainingruntimes", "clustertrainingruntime", "trainingruntimes", "trainingruntime",
    ),
    "nodes": ("node", "pods", "pod", "po"),
    "events": ("event", "ev"),
    "host": ("capacity", "queue"),
    "source": ("sources", "git", "gitrepository", "gitrepositories"),
}  # fmt: skip
KIND_WORD: Final = Word("kind", KINDS)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What was asked for: a kind, and the names; without names all of it."""

    kind: str
    names: tuple[str, ...]


class ResourceWords(click.Argument):
    """``[KIND] [NAME...]``: ``jobs``, ``jobs a b``, ``job/a job/b``; nothing is ``jobs``."""

    def __init__(self) -> None:
        super().__init__(["words"], nargs=-1, required=False, shell_complete=_complete)

    def make_metavar(self, ctx: click.Context | None = None) -> str:  # noqa: ARG002  (click's signature)
        """The words in the usage line."""
        return f"[{'|'.join(KINDS)}] [NAME...]"


def parse_resources(words: Sequence[str]) -> Resources:
    """Returns what the words ask for.

    Raises:
        click.UsageError: the first is no kind, or they name several kinds.
    """
    if not words:
        return Resources(kind="jobs", names=())
    if "/" not in words[0]:
        kind, names = KIND_WORD.convert(words[0], None, None), words[1:]
    else:
        kind, names = KIND_WORD.convert(words[0].partition("/")[0], None, None), words
    found = []
    for name in names:
        head, slash, tail = name.partition("/")
        if slash and KIND_WORD.knows(head):
            if KIND_WORD.convert(head, None, None) != kind:
                raise click.UsageError(f"One kind at a time: {name} is not one of the {kind}.")
            name = tail  # noqa: PLW2901  (without its kind)
        found.append(name)
    return Resources(kind=kind, names=tuple(found))


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if not ctx.params.get("words"):
        return KIND_WORD.shell_complete(ctx, param, incomplete)
    return complete_job(ctx, param, incomplete)
