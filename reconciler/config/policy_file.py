"""Parses ``policy:`` of ``reconciler.yaml``; a fault names file, line and key, and what may have been meant.

What can go wrong: a misspelt key would turn a rule off in silence, so unknown keys are refused; a relative
path means something else in another folder, so paths are taken from the file's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from reconciler.common.suggestions import did_you_mean
from reconciler.config.policy import HostPath, Policy
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    import yaml


def parse_policy(node: yaml.Node, decoded: Any, file: Path) -> Policy:
    """Returns the policy of a file.

    Args:
        node: the YAML node of ``policy:``, for line numbers.
        decoded: its value; None, as of ``policy:`` without content, is the default.
        file: for messages; relative paths are relative to its folder.

    Raises:
        ConfigError: for the first fault.
    """
    _refuse_duplicate_keys(node, file, ())
    try:
        policy = Policy.model_validate({} if decoded is None else decoded)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        raise _fault(details, node, file) from None
    base = file.absolute().parent
    paths = tuple(
        HostPath(path=str(base / Path(each.path).expanduser()), read_only=each.read_only)
        for each in policy.host_paths
    )
    return policy.model_copy(update={"host_paths": paths})


def _refuse_duplicate_keys(node: Any, file: Path, path: tuple[str, ...]) -> None:
    """YAML takes the last of two equal keys; in a policy either could be the one that was meant."""
    for key, value in _pairs(node):
        here = (*path, str(key.value))
        same = [other for other, _ in _pairs(node) if other.value == key.value]
        if len(same) > 1:
            place = f"{file}:{same[1].start_mark.line + 1}: {'.'.join(('policy', *here))}"
            raise ConfigError(f"{place} is given twice.", remedy="Keep one of them.")
        _refuse_duplicate_keys(value, file, here)


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return [pair for pair in node.value if isinstance(pair, tuple)] if isinstance(node.value, list) else []


def _fault(details: Any, node: yaml.Node, file: Path) -> ConfigError:
    path = tuple(part for part in details["loc"] if not (isinstance(part, str) and part.endswith("()")))
    line, path = _locate(node, path)
    shown = "policy" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    place = f"{file}:{line}: {shown}"
    if details["type"] == "extra_forbidden":
        names = _valid_keys(path[:-1])
        hint = did_you_mean(str(path[-1]), names)
        return ConfigError(f"{place} is not a rule{hint}.", remedy=f"There are: {', '.join(names)}.")
    if details["type"] == "missing":
        return ConfigError(f"{place} is missing.", remedy="Write it.")
    message = str(details["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if details["type"] == "tuple_type":
        message = "must be a list"
    elif details["type"] in {"model_type", "model_attributes_type"}:
        message = "must be a mapping"
    return ConfigError(f"{place}: {details['input']!r} {message.replace('should', 'must', 1)}.")


def _locate(node: Any, path: tuple[str | int, ...]) -> tuple[int, tuple[str | int, ...]]:
    """Line of the node at ``path``, and the path as far as it is in the file (pydantic adds type names)."""
    line, kept = node.start_mark.line + 1, []
    for part in path:
        found = None
        if isinstance(part, int):
            found = node.value[part] if isinstance(node.value, list) and part < len(node.value) else None
            line = found.start_mark.line + 1 if found is not None else line
        else:
            pair = next((pair for pair in _pairs(node) if pair[0].value == part), None)
            if pair is not None:
                line, found = pair[0].start_mark.line + 1, pair[1]
        kept.append(part)
        if found is None:
            break
        node = found
    return line, tuple(kept)


def _valid_keys(path: tuple[str | int, ...]) -> list[str]:
    """The valid keys of the mapping at ``path``."""
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
