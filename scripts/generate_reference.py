"""Writes the reference pages that follow from the code: commands, settings, names, fields of manifests.

``docs/conf.py`` calls :func:`write` at every build, so the pages are never committed and never old. What can
go wrong: a label or annotation without a comment in ``reconciler/names.py``; a test names it.
"""

from __future__ import annotations

import argparse
import ast
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import field_meanings
from commands import Command, sections, setting_names, setting_value

from reconciler import names
from reconciler.api.models.base import Model
from reconciler.api.models.model_fields import get_fields, unwrap
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob
from reconciler.config.settings import OPTIONS

ROOT: Final = Path(__file__).resolve().parent.parent

#: Variables in a job's containers, where they are set, and their meaning.
VARIABLES: Final[tuple[tuple[str, str, str], ...]] = (
    ("MASTER_ADDR", "every node", "Address of rank 0, the same on every node and in every attempt."),
    ("MASTER_PORT", "every node", "29500 (the process engine may take another)."),
    ("RANK", "every node", "Rank of the node, from 0."),
    ("WORLD_SIZE", "every node", "Number of nodes."),
    ("RECONCILER_ATTEMPT", "every container", "Which attempt of the whole job, from 0."),
    ("KUBEFLOW_TRAINER_SERVER_URL", "the trainer's step", "Where [progress](../../progress.md) is reported."),
    ("KUBEFLOW_TRAINER_SERVER_CA_CERT", "the trainer's step", "Certificate by which the daemon is known."),
    ("KUBEFLOW_TRAINER_SERVER_TOKEN", "the trainer's step", "File with the token that goes with a report."),
    ("PET_NNODES", "torch", "Number of nodes."),
    ("PET_NPROC_PER_NODE", "torch", "Processes on each node: a number, or `auto` where there are GPUs."),
    ("PET_NODE_RANK", "torch", "Rank of the node."),
    ("PET_MASTER_ADDR", "torch", "As MASTER_ADDR; not for torchtune."),
    ("PET_MASTER_PORT", "torch", "As MASTER_PORT; not for torchtune."),
    ("JAX_NUM_PROCESSES", "jax", "Number of nodes."),
    ("JAX_PROCESS_ID", "jax", "Rank of the node."),
    ("JAX_COORDINATOR_ADDRESS", "jax", "Address and port of rank 0."),
    ("DMLC_TRACKER_URI", "xgboost", "Address of rank 0."),
    ("DMLC_TRACKER_PORT", "xgboost", "Port of rank 0."),
    ("DMLC_TASK_ID", "xgboost", "Rank of the node."),
    ("DMLC_NUM_WORKER", "xgboost", "Number of workers: nodes, or nodes by GPUs."),
    ("OMPI_MCA_orte_default_hostfile", "mpi, the launcher", "Where the list of hosts is mounted."),
    ("OMPI_MCA_orte_keep_fqdn_hostnames", "mpi, the launcher", "`true`."),
    ("OMPI_MCA_orte_set_default_slots", "mpi, the launcher", "Processes on each node."),
    ("OMPI_MCA_plm_rsh_args", "mpi, the launcher", "How ssh is called."),
    ("STORAGE_URI", "initializers", "Where the dataset or the model comes from."),
    ("RECONCILER_MOUNT_<PATH>", "the process engine", "Where a volume is whose path could not be mounted."),
)
#: Variables that the program itself reads, beside those of the settings.
OWN_VARIABLES: Final[tuple[tuple[str, str], ...]] = (
    ("RECONCILER_CONFIG", "Settings are read from this file."),
    ("RECONCILER_DEBUG", "`1`: tracebacks instead of sentences."),
    ("DOCKER_HOST", "Where Docker is, as for `docker`; with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`."),
    ("CONTAINER_HOST", "Where Podman is, as for `podman`; with `CONTAINER_SSHKEY`."),
    ("XDG_STATE_HOME", "Records and logs are in `reconciler` below it; `~/.local/state` otherwise."),
    ("XDG_CONFIG_HOME", "`reconciler/reconciler.yaml` is looked for below it; `~/.config` otherwise."),
    ("XDG_RUNTIME_DIR", "Where a user's own engine has its socket."),
)


def pages() -> dict[str, Callable[[], str]]:
    """Returns the function that renders each page, by file name."""
    return {
        "commands.md": commands_page,
        "settings.md": settings_page,
        "names.md": names_page,
        "trainjob.md": lambda: fields_page("Fields of a TrainJob", (TrainJob,)),
        "runtime.md": lambda: fields_page("Fields of a runtime", (ClusterTrainingRuntime, TrainingRuntime)),
    }


def write(folder: Path) -> None:
    """Writes every page whose text has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, render in pages().items():
        text, path = render(), folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands_page() -> str:
    """Renders every command with its arguments, options and examples."""
    lines = [
        "# Commands",
        "",
        "As `reconciler COMMAND --help` and the man page have it. Options that are settings are described",
        "once, under [Settings](settings.md).",
        "",
    ]
    for section, found in sections():
        lines += [f"## {section}", ""]
        for command in found:
            lines += _command(command)
    return "\n".join(lines)


def _command(command: Command) -> Iterator[str]:
    yield from (f"### reconciler {command.name}", "", _escaped(command.text), "")
    yield from ("```text", f"reconciler {command.name} {command.synopsis}".rstrip(), "```", "")
    rows = [(f"`{flag.names} {flag.value}".rstrip() + "`", _escaped(flag.text)) for flag in command.own_flags]
    yield from _table(("option", "means"), rows)
    if command.settings:
        yield from (f"Settings: {', '.join(f'`{name}`' for name in command.settings)}.", "")
    for title, examples in command.epilog:
        yield from (f"{title}:", "", "```text", *examples, "```", "")


def settings_page() -> str:
    """Renders every setting in its three spellings."""
    lines = [
        "# Settings",
        "",
        "Each is an option after the command's name, a variable, or a key of `reconciler.yaml`: the",
        "option without its dashes (`pull-policy`, `pullPolicy` and `pull_policy` are the same). The option",
        "wins, then the variable, then the file. The file is the one of `--config` or `RECONCILER_CONFIG`,",
        "else `reconciler.yaml` in the current folder, else in `$XDG_CONFIG_HOME/reconciler`; relative paths",
        "in it are taken from its own folder.",
        "",
    ]
    for option in OPTIONS:
        shown = f"{setting_names(option)} {setting_value(option)}".rstrip()
        lines += [f"## --{option.flag}", "", _escaped(option.help), ""]
        rows = [("option", f"`{shown}`"), ("variable", f"`{option.variable}`")]
        rows.append(("in `reconciler.yaml`", ", ".join(f"`{key}`" for key in (option.flag, *option.aliases))))
        if option.repeatable:
            rows.append(
                ("several", "repeat the option; separate by commas in the variable; a list in the file")
            )
        default = option.default_text
        rows.append(("default", f"`{default}`" if default else "none"))
        lines += _table(("", ""), rows)
    return "\n".join(lines)


def names_page() -> str:
    """Renders labels, annotations and variables."""
    labels = [(name, value) for name, value in label_constants() if name.startswith("LABEL_")]
    annotations = [(name, value) for name, value in label_constants() if name.startswith("ANNOTATION_")]
    lines = ["# Labels, annotations and variables", "", "## Names on the engine", ""]
    lines += _table(
        ("object", "name"),
        [
            ("network of a job", f"`{names.network_name('default', 'JOB')}`"),
            ("node", f"`{names.pod_name('default', 'JOB', 'node', 0, 1)[:-1]}RANK`"),
            ("other step", "`JOB-STEP`, `JOB-STEP-INDEX` where it has several pods"),
            ("in another namespace", "`NAMESPACE.` before the name"),
        ],
    )
    lines += ["## Labels of containers and networks", ""]
    lines += _table(("label", "value"), [(f"`{value}`", describe_constant(name)) for name, value in labels])
    lines += ["## Annotations of a TrainJob", ""]
    lines += _table(
        ("annotation", "means"), [(f"`{value}`", describe_constant(name)) for name, value in annotations]
    )
    lines += ["## Variables in a job's containers", ""]
    lines += _table(
        ("variable", "set for", "value"), [(f"`{name}`", who, text) for name, who, text in VARIABLES]
    )
    lines += ["## Variables that the program reads", "", "Those of the [settings](settings.md), and:", ""]
    lines += _table(("variable", "means"), [(f"`{name}`", text) for name, text in OWN_VARIABLES])
    return "\n".join(lines)


def label_constants() -> list[tuple[str, str]]:
    """Returns constant and value of each label and annotation that users may meet."""
    return [(k, v) for k, v in vars(names).items() if k.startswith(("LABEL_", "ANNOTATION_"))]


@functools.cache
def _comments() -> Mapping[str, str]:
    """Returns the ``#:`` comment above each constant of reconciler/names.py."""
    source = Path(names.__file__).read_text(encoding="utf-8")
    lines = source.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above: list[str] = []
            row = node.lineno - 2
            while row >= 0 and lines[row].startswith("#:"):
                above.insert(0, lines[row].removeprefix("#:").strip())
                row -= 1
            found[node.target.id] = " ".join(above).replace("``", "`")
    return found


def describe_constant(constant: str) -> str:
    """Returns the comment above the constant; "" where there is none."""
    return _escaped(_comments().get(constant, ""))


def fields_page(title: str, roots: tuple[type[Model], ...]) -> str:
    """Renders every field under the roots, by type."""
    types: dict[str, type[Model]] = {}
    for root in roots:
        types |= {model.__name__: model for model in field_meanings.reachable_types(root)}
    lines = [
        f"# {title}",
        "",
        "Generated from the models. **works**: as on a cluster. **partly**: in another way, as described.",
        "**not done**: an engine could, this does not; an event of the job (`FieldIgnored`) reports it, and",
        "`reconciler validate` or `plan`. **no effect**: has no meaning on one host; reported as well.",
        "**not used**: read, so that what a cluster prints is a manifest. A field that is in no table is an",
        "error.",
        "",
    ]
    for name, model in types.items():
        lines += [f"## {name}", "", _escaped(_first_sentence(model)), ""]
        rows = []
        for field, annotation in get_fields(model).items():
            effect, note = field_meanings.field_effect(model, field)
            here = f"**{effect}**: {_escaped(note)}" if note else effect
            required = " (required)" if _required(model, field) else ""
            rows.append((f"`{field}`{required}", _type_text(annotation, types), here))
        lines += _table(("field", "type", "here"), rows)
    return "\n".join(lines)


def _required(model: type[Model], field: str) -> bool:
    return next(info.is_required() for info in model.model_fields.values() if info.alias == field)


def _first_sentence(model: type[Model]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _type_text(annotation: Any, types: Mapping[str, type[Model]]) -> str:
    here = unwrap(annotation)
    if isinstance(here, type) and issubclass(here, Model):
        name = here.__name__
        return f"[{name}](#{_anchor(name)})" if name in types else name
    arguments = [a for a in get_args(here) if a is not Ellipsis]
    if get_origin(here) is tuple:
        return f"list of {_type_text(arguments[0], types)}"
    if get_origin(here) is dict:
        return f"map of {_type_text(arguments[1], types)}"
    if arguments and all(isinstance(a, str) for a in arguments):
        return ", ".join(f"`{a}`" for a in arguments)
    if arguments:
        return " or ".join(_type_text(a, types) for a in arguments)
    return {"str": "text", "int": "integer", "bool": "boolean", "float": "number"}.get(here.__name__, "any")


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    found = list(rows)
    if not found:
        return []
    cells = [tuple(cell.replace("|", r"\|").replace("\n", " ") for cell in row) for row in found]
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in cells),
        "",
    ]


def _escaped(text: str) -> str:
    """Escapes text for Markdown: outside of code nothing is mark-up."""
    parts = text.replace("``", "`").split("`")
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([<*\[_])", r"\\\1", parts[place])
    return "`".join(parts)


def main() -> int:
    """Writes the pages into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "reference" / "generated")
    write(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
