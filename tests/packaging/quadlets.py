"""A Quadlet ``.container`` file as Podman's generator reads it, for machines whose Podman has none (before 4.4).

Knows what it means to ``podman run`` for the keys that this project uses, and refuses any other: a key that
nobody here understands would be dropped in silence by nobody but us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

Sections = dict[str, list[tuple[str, str]]]

#: Keys of ``[Container]`` that a generator has to know (podman-container.unit(5)), none of them newer than Podman 4.4.
CONTAINER_KEYS: Final = frozenset(
    {
        "AddCapability", "AddDevice", "Annotation", "ContainerName", "DropCapability", "Environment",
        "EnvironmentFile", "Exec", "Image", "Label", "Network", "NoNewPrivileges", "Notify", "PodmanArgs",
        "PublishPort", "ReadOnly", "SecurityLabelDisable", "Timezone", "User", "Volume",
    }
)  # fmt: skip
#: Specifiers of systemd.unit(5) that mean something in a user's unit.
SPECIFIERS: Final = ("%h", "%t")

_FLAGS: Final[Mapping[str, Callable[[str], list[str]]]] = {
    "ContainerName": lambda value: ["--name", value],
    "DropCapability": lambda value: ["--cap-drop", value],
    "Environment": lambda value: ["--env", value],
    "Network": lambda value: ["--network", value],
    "NoNewPrivileges": lambda value: ["--security-opt=no-new-privileges"] if value == "true" else [],
    "ReadOnly": lambda value: ["--read-only"] if value == "true" else [],
    "SecurityLabelDisable": lambda value: ["--security-opt=label=disable"] if value == "true" else [],
    "Volume": lambda value: ["--volume", value],
}


def read(path: Path) -> Sections:
    """Section -> its keys and values in order.

    Raises:
        AssertionError: a line is neither a section, a key nor a comment.
    """
    sections: Sections = {}
    current: list[tuple[str, str]] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
            continue
        key, separator, value = line.partition("=")
        assert separator, line
        assert key.strip() == key, line
        assert current is not None, line
        current.append((key, value))
    return sections


def run_arguments(sections: Sections, specifiers: Mapping[str, str]) -> list[str]:
    """What the generator would give ``podman run``, the image and the command last."""
    keys = [(key, _filled(value, specifiers)) for key, value in sections["Container"]]
    single = dict(keys)
    options = [
        argument for key, value in keys if key not in {"Image", "Exec"} for argument in _FLAGS[key](value)
    ]
    return [*options, single["Image"], *single.get("Exec", "").split()]


def _filled(value: str, specifiers: Mapping[str, str]) -> str:
    for specifier, text in specifiers.items():
        value = value.replace(specifier, text)
    assert "%" not in value, f"a specifier nobody filled: {value}"
    return value
