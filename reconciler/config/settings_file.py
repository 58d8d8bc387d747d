"""``reconciler.yaml``: finds it and parses its values; a fault names file, line and key.

What can go wrong: a relative path means something else in another folder, so paths in the file are taken from
the file's own folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.common.host_looks import LOOKS
from reconciler.common.os_errors import reason_of
from reconciler.common.regular_files import read_regular_text
from reconciler.common.suggestions import did_you_mean
from reconciler.common.xdg_folders import xdg_folder
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS, YAML_VALUE_MESSAGE
from reconciler.config.options import Option
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    import yaml

FILE_NAME: Final = "reconciler.yaml"
#: The top-level key that is not an option: what manifests may ask for.
POLICY_KEY: Final = "policy"


def find_settings_file(given: Path | None) -> Path | None:
    """Returns the given file, ``RECONCILER_CONFIG``, the current folder's or the user's; None: there is none.

    Raises:
        ConfigError: the given file does not exist.
    """
    if given is None and (named := os.environ.get("RECONCILER_CONFIG")):
        given = Path(named)
    if given is not None:
        if not os.path.lexists(given):
            raise ConfigError(f"{given} does not exist.", remedy="Name a file that exists with --config.")
        return given
    places = (
        Path(FILE_NAME),
        xdg_folder("XDG_CONFIG_HOME", ".config") / "reconciler" / FILE_NAME,
    )
    return next((place for place in places if os.path.lexists(place)), None)


def read_settings_file(path: Path, options: Sequence[Option]) -> dict[str, Any]:
    """Returns the values that the file gives, by field of :class:`Settings`.

    Raises:
        ConfigError: naming file, line and key, and what may have been meant.
    """
    by_key = {key: option for option in options for key in (option.name, _fold(option.flag), *option.aliases)}
    values: dict[str, Any] = {}
    for key, line, node, raw in _read_entries(path):
        place = f"{path}:{line}: {key}"
        option = by_key.get(_fold(key))
        if option is None and key != POLICY_KEY:
            names = sorted({o.flag for o in options} | {POLICY_KEY})
            hint = did_you_mean(key, names)
            raise ConfigError(f"{place} is not a setting{hint}.", remedy=f"There are: {', '.join(names)}.")
        if (POLICY_KEY if option is None else option.name) in values:
            raise ConfigError(f"{place} is given twice.", remedy="Keep one of them.")
        if option is None:
            from reconciler.config.policy_file import parse_policy  # noqa: PLC0415  (most files have none)

            values[POLICY_KEY] = parse_policy(node, raw, path)
        elif raw is not None:
            value = option.parse_at(place, raw)
            values[option.name] = path.parent / value if isinstance(value, Path) else value
    return values


def _read_entries(path: Path) -> Iterable[tuple[str, int, yaml.Node, Any]]:
    """Key, its line (from 1), node and decoded value of each top-level entry."""
    import yaml  # noqa: PLC0415  (most commands run without a file)

    try:
        loader = yaml.SafeLoader(LOOKS.run(str(path), lambda _: read_regular_text(path)))
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                f"{path}:1: the file must be a mapping.", remedy="Write lines as `engine: podman`."
            )
        for key, value in root.value:
            yield str(key.value), key.start_mark.line + 1, value, _decode(loader, value, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{path}:{line}: this is not YAML: {problem}.") from None
    except RecursionError:
        raise ConfigError(f"{path}:1: this is not YAML: it is nested too deeply.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}.") from None


def _decode(loader: yaml.SafeLoader, node: yaml.Node, path: Path) -> Any:
    try:
        return loader.construct_document(node)
    except YAML_VALUE_ERRORS:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: {YAML_VALUE_MESSAGE}.") from None


def _fold(key: str) -> str:
    """``pull-policy`` and ``pullPolicy`` as ``pull_policy``."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower().replace("-", "_")
