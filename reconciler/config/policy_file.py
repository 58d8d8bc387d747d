"""``policy:`` of a file to a :class:`Policy`; a fault names the file, the line, the key and what was meant.

What can go wrong: a misspelt key would switch a rule off in silence, so unknown keys are refused; a relative
path means something else in another folder, so paths are taken from the file's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from reconciler.config.options import did_you_mean
from reconciler.config.policy import HostPath, Policy
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    import yaml


def read_policy(node: yaml.Node, decoded: Any, file: Path) -> Policy:
    """The policy that a file gives.

    Args:
        node: the YAML of it, for the lines.
        decoded: its value.
        file: for messages, and for what its relative paths are relative to.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    _refuse_repeated(node, file, ())
    try:
        policy = Policy.model_validate(decoded)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        raise _fault(details, node, file) from None
    base = file.absolute().parent
    paths = tuple(
        HostPath(path=str(base / Path(each.path).expanduser()), read_only=each.read_only)
        for each in policy.host_paths
    )
    return policy.model_copy(update={"host_paths": paths})


def _refuse_repeated(node: Any, file: Path, path: tuple[str, ...]) -> None:
    """YAML takes the last of two keys of one name; in a policy either could be the one that was meant."""
    for key, value in _entries(node):
        here = (*path, str(key.value))
        same = [other for other, _ in _entries(node) if other.value == key.value]
        if len(same) > 1:
            place = f"{file}:{same[1].start_mark.line + 1}: {'.'.join(('policy', *here))}"
            raise ConfigError(f"{place} is given twice.", remedy="Keep one of them.")
        _refuse_repeated(value, file, here)


def _entries(node: Any) -> list[tuple[Any, Any]]:
    return [pair for pair in node.value if isinstance(pair, tuple)] if isinstance(node.value, list) else []


def _fault(details: Any, node: yaml.Node, file: Path) -> ConfigError:
    path = tuple(part for part in details["loc"] if not (isinstance(part, str) and part.endswith("()")))
    line, path = _line(node, path)
    shown = "policy" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    place = f"{file}:{line}: {shown}"
    if details["type"] == "extra_forbidden":
        names = _names(path[:-1])
        hint = did_you_mean(str(path[-1]), names)
        return ConfigError(f"{place} is no rule{hint}.", remedy=f"There are: {', '.join(names)}.")
    if details["type"] == "missing":
        return ConfigError(f"{place} is missing.", remedy="Write it.")
    message = str(details["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if details["type"] == "tuple_type":
        message = "must be a list"
    elif details["type"] in {"model_type", "model_attributes_type"}:
        message = "must be a mapping"
    return ConfigError(f"{place}: {details['input']!r} {message.replace('should', 'must', 1)}.")


def _line(node: Any, path: tuple[str | int, ...]) -> tuple[int, tuple[str | int, ...]]:
    """Line of the node at ``path``, and the path as far as the file has it (pydantic adds names of types)."""
    line, kept = node.start_mark.line + 1, []
    for part in path:
        found = None
        if isinstance(part, int):
            found = node.value[part] if isinstance(node.value, list) and part < len(node.value) else None
            line = found.start_mark.line + 1 if found is not None else line
        else:
            pair = next((pair for pair in _entries(node) if pair[0].value == part), None)
            if pair is not None:
                line, found = pair[0].start_mark.line + 1, pair[1]
        kept.append(part)
        if found is None:
            break
        node = found
    return line, tuple(kept)


def _names(path: tuple[str | int, ...]) -> list[str]:
    """The keys there are in the mapping at ``path``."""
    model: type[BaseModel] = Policy
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for f in model.model_fields.values() if f.alias == part), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
