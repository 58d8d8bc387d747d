"""Checks a container's specification before any engine is asked, where engines answer badly themselves."""

from __future__ import annotations

from reconciler.engines.specs import ContainerSpec
from reconciler.errors import StartFailed


def validate_text(spec: ContainerSpec, *, allow_bytes: bool = False) -> None:
    """Checks that the variables and the command line are text: bytes of a Secret may not be.

    Podman and Docker replace a character that is no text; runc quotes the whole variable where it has a zero
    byte, and it may be a secret. So they are not asked.

    Args:
        spec: of the container.
        allow_bytes: bytes need be no text (zero bytes are rejected all the same).

    Raises:
        StartFailed: naming the variable, not its value.
    """
    values = [(f"the value of the variable {name}", value) for name, value in spec.env.items()]
    words = (*(spec.entrypoint or ()), *(spec.command or ()))
    values += [("a word of the command line", word) for word in words]
    for place, value in values:
        if "\0" in value or not (allow_bytes or _is_text(value)):
            raise StartFailed(
                f"Container {spec.name} cannot be made: {place} is no text, but holds other bytes.",
                remedy="Mount the Secret as a file instead.",
            )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
