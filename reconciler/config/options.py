"""How users write a setting: its flag, variable and key, and the parsers of values.

The options themselves are the fields of :class:`reconciler.config.settings.Settings`, declared with
:func:`option`; flags, variables, keys, help and messages are derived from them, so that they cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.common.durations import parse_duration
from reconciler.common.suggestions import did_you_mean
from reconciler.common.unicode_text import is_unicode
from reconciler.config.git_urls import redact
from reconciler.errors import ConfigError

VARIABLE_PREFIX: Final = "RECONCILER_"


def parse_text(value: Any) -> str:
    """Any text that is not blank."""
    if isinstance(value, (dict, list)) or value is None or str(value).strip() == "":
        raise ValueError("must be a text")
    return str(value)


def parse_boolean(value: Any) -> bool:
    """``true``, ``yes``, ``on``, ``1`` and their opposites."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("is neither true nor false")


def parse_file_path(value: Any) -> Path:
    """A path on this machine; ``~`` is expanded."""
    return Path(parse_text(value)).expanduser()


def parse_count(value: Any) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value).strip()) or int(value) < 1:
        raise ValueError("must be a whole number of 1 or more")
    return int(value)


def parse_interval(value: Any) -> float:
    """A duration of more than nothing."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be longer than 0 seconds")
    return seconds


def parse_texts(value: Any) -> tuple[str, ...]:
    """A list, or one text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a list of texts")  # noqa: TRY004  (a value of the user's, not of a caller)
    return tuple(parse_text(item) for item in value)


def parse_label_value(value: Any) -> str:
    """What Kubernetes accepts as the value of a label."""
    text = parse_text(value)
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text):
        raise ValueError("is not a label value: 1 to 63 letters, digits, '-', '_' and '.'")
    return text


def parse_endpoint(value: Any) -> str:
    """An IP address of one interface, and a port."""
    import ipaddress  # noqa: PLC0415  (costs the start of every command)

    text = parse_text(value).strip()
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError("is not an address and port such as 127.0.0.1:9444") from None
    if address.is_unspecified or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
        raise ValueError("is not an address of one interface and a port, such as 127.0.0.1:9444")
    return text


def parse_networks(value: Any) -> tuple[str, ...]:
    """CIDR ranges."""
    import ipaddress  # noqa: PLC0415  (costs the start of every command)

    items = parse_texts(value)
    for item in items:
        try:
            ipaddress.ip_network(item)
        except ValueError as error:
            raise ValueError(f"is not a list of CIDR ranges such as 10.128.0.0/16: {error}") from None
    return items


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting as users write it.

    Attributes:
        name: of the field of :class:`Settings`.
        default: the field's; a boolean one makes a switch, a tuple an option that can be repeated.
        parser: text or decoded YAML to the field's value; raises ValueError with the end of a sentence that
            begins with the value.
        flag: without dashes; the variable is ``RECONCILER_`` and the same in capitals.
        choices: the valid values, in their own spelling; empty: any that the parser takes.
        aliases: further keys in ``reconciler.yaml`` (the upstream SDK's ``ContainerBackendConfig``).
        default_text: the default as help and documentation show it; "" where there is nothing to say.
    """

    name: str
    default: Any
    help: str
    parser: Callable[[Any], Any]
    flag: str
    choices: tuple[str, ...]
    metavar: str
    aliases: tuple[str, ...]
    default_text: str

    @property
    def boolean(self) -> bool:
        """Written as ``--flag`` and ``--no-flag``."""
        return isinstance(self.default, bool)

    @property
    def repeatable(self) -> bool:
        """Takes several values."""
        return isinstance(self.default, tuple)

    @property
    def variable(self) -> str:
        """``RECONCILER_PULL_POLICY``."""
        return VARIABLE_PREFIX + self.flag.upper().replace("-", "_")

    def parse(self, raw: Any) -> Any:
        """Returns the field's value; choices are taken in any letter case.

        Raises:
            ValueError: with the end of a sentence that begins with the value.
        """
        for text in raw if isinstance(raw, (list, tuple)) else (raw,):
            _require_text(text)
        if not self.choices:
            return self.parser(raw)
        word = str(raw).strip()
        for choice in self.choices:
            if choice.lower() == word.lower():
                return choice
        raise ValueError(f"is not one of {', '.join(self.choices)}{did_you_mean(word, self.choices)}")

    def parse_at(self, place: str, raw: Any) -> Any:
        """The same for a value that stands at a place the user knows: a flag, a variable, file and line.

        Raises:
            ConfigError: naming the place.
        """
        try:
            return self.parse(raw)
        except ValueError as error:
            shown = ", ".join(map(str, raw)) if isinstance(raw, (list, tuple)) else raw
            shown = redact(shown) if isinstance(shown, str) else shown
            raise ConfigError(f"{place}: {shown!r} {error}.") from None


def _require_text(value: Any) -> None:
    if not isinstance(value, (str, Path)):
        return
    if not is_unicode(str(value)):
        raise ValueError("is not UTF-8 text")
    if "\0" in str(value):
        raise ValueError("holds a zero byte")


def option(
    default: Any,
    help: str,  # noqa: A002  (click's own word)
    parser: Callable[[Any], Any] = str,
    *,
    flag: str = "",
    choices: tuple[str, ...] = (),
    metavar: str = "",
    aliases: tuple[str, ...] = (),
    default_text: str | None = None,
) -> Any:
    """Declares a field of :class:`Settings` that users can set; see :class:`Option` for the arguments.

    The parser of a boolean is :func:`parse_boolean`; ``flag`` is the field's name with dashes unless given.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "parser": parse_boolean if isinstance(default, bool) else parser,
            "flag": flag,
            "choices": choices,
            "metavar": metavar,
            "aliases": aliases,
            "default_text": _show_default(default) if default_text is None else default_text,
        },
    )


def _show_default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == ():
        return ""
    return f"{value:g} s" if isinstance(value, float) else str(value)
