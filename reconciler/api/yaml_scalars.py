"""YAML scalars as Kubernetes reads them: YAML 1.1 by the rules of go-yaml, not of PyYAML or YAML 1.2.

``yes`` is a boolean, ``1e-3`` is a number, ``0o17`` and ``017`` are 15, ``1:30`` and ``2026-01-31`` are
strings. A reader with other rules would run something else than a cluster does.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_NUMERIC_STARTS: Final = frozenset("0123456789+-.")
_INTEGER: Final = re.compile(
    r"[-+]?(?:(0[xX][0-9a-fA-F]+)|(0[bB][01]+)|(0[oO]?[0-7]+)|(0|[1-9][0-9]*))", re.ASCII
)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_BASES: Final = (16, 2, 8, 10)
_LONGEST_NUMBER: Final = 400
_STANDARD: Final = "tag:yaml.org,2002:"


def decode_base64(text: str) -> bytes:
    """Returns the bytes of a value in a Secret's ``data``; it may contain line breaks.

    Raises:
        ValueError: the text is no base64.
    """
    return base64.b64decode("".join(text.split()), validate=True)


def parse_plain(text: str) -> Scalar:
    """Returns the value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMERIC_STARTS:
        return _parse_number(text)
    return text


def parse_tagged(tag: str, text: str) -> Scalar:
    """Returns the value of a scalar with an explicit tag, as in ``!!str 5``.

    Raises:
        ValueError: the text does not fit the tag, or the tag is none of YAML's own.
    """
    name = tag.removeprefix(_STANDARD)
    if tag == "!" or name in ("str", "timestamp"):
        return text
    if name == "binary":
        try:
            return base64.b64decode(text, validate=False).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("!!binary value is not base64 of UTF-8 text") from error
    value = parse_plain(text)
    fits = {
        "null": value is None,
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
    }
    if name not in fits:
        raise ValueError(f"the tag {tag} is not supported; leave it out")
    if not fits[name]:
        raise ValueError(f"the value does not fit the tag !!{name}")
    return value


def _parse_number(text: str) -> Scalar:
    """Returns an integer, a float (1.0 is the integer 1, as in Kubernetes's JSON), or the text itself."""
    digits = text.replace("_", "")
    if len(digits) > _LONGEST_NUMBER:
        return text
    if match := _INTEGER.fullmatch(digits):
        base = next(base for base, group in zip(_BASES, match.groups(), strict=True) if group is not None)
        value = int(digits.lower().replace("0x", "").replace("0b", "").replace("0o", ""), base)
        if -(2**63) <= value < 2**64:
            return value
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    return text
