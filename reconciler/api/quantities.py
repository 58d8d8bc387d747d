"""Kubernetes quantities: ``500m``, ``4Gi``, ``1e3``, ``1.0``.

Values are exact: :class:`~decimal.Decimal`, never floats. As Kubernetes does, they are rounded up to a
nano-unit. Suffixes are case-sensitive: ``m`` is milli, ``M`` is mega, ``GB`` is invalid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_UP, Context, Decimal, localcontext
from typing import Final

PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
    r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_PARTS: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?",
    re.ASCII,
)
_BINARY: Final = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL: Final = {
    letter: Decimal(10) ** power
    for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_SCALES: Final = {"": Decimal(1), **_BINARY, **_DECIMAL}
_NANO: Final = _DECIMAL["n"]
#: The largest quantity that Kubernetes stores; larger ones are cut to it.
MAXIMUM: Final = Decimal(2**63 - 1)
#: No quantity needs more text; a longer one is rejected before it costs time to compute.
_LONGEST: Final = 64
_LARGEST_EXPONENT: Final = 1000


def parse(value: str | float) -> Decimal:
    """Returns the value of a quantity, exact to a nano-unit (rounded away from zero beyond), at most 2**63-1.

    Raises:
        ValueError: the text is no quantity; the message says how one is written.
    """
    text = _text(value)
    match = _PARTS.fullmatch(text)
    if match is None or len(text) > _LONGEST:
        raise ValueError(
            f"{text[:_LONGEST]!r} is not a quantity: write a number and a suffix, as in 500m, 2, 4Gi or 1.5G"
        )
    exponent = int(match["exponent"] or 0)
    if abs(exponent) > _LARGEST_EXPONENT:
        raise ValueError(f"{text!r} is not a quantity: its exponent is out of range")
    with localcontext(Context(prec=120, rounding=ROUND_UP)):
        amount = Decimal(match["number"]) * _SCALES[match["suffix"] or ""]
        amount = amount.scaleb(exponent)
        if abs(amount) > MAXIMUM:
            return MAXIMUM.copy_sign(amount)
        if amount == amount.to_integral_value():
            return amount
        return amount.quantize(_NANO)


def is_quantity(value: str | float) -> bool:
    """Returns whether Kubernetes accepts ``value`` (text or number) as a quantity."""
    try:
        parse(value)
    except ValueError:
        return False
    return True


def canonicalize(value: str | float) -> str:
    """Returns the text of a quantity: text is unchanged, ``1.0`` becomes ``1``, ``0.5`` becomes ``500m``."""
    if isinstance(value, str):
        return value
    amount = parse(value)
    if amount == amount.to_integral_value():
        return str(int(amount))
    for suffix in ("m", "u", "n"):
        scaled = amount / _DECIMAL[suffix]
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return format(amount.normalize(), "f")


def to_float(value: str | float) -> float:
    """Returns a quantity as a float, as in ``cpu: 500m`` -> 0.5 cores."""
    return float(parse(value))


def to_int(value: str | float) -> int:
    """Returns a quantity as a whole number, rounded up: bytes of ``4Gi``, a count of devices."""
    return int(parse(value).to_integral_value(rounding=ROUND_CEILING))


def count_gpus(*resource_lists: Mapping[str, str | float]) -> int:
    """Returns the first amount above 0 of a resource with ``gpu`` in its name, as upstream does."""
    for amounts in resource_lists:
        for name, amount in amounts.items():
            if "gpu" in name.lower() and (count := to_int(amount)) > 0:
                return count
    return 0


def _text(value: str | float) -> str:
    """Returns a number as Kubernetes writes it: the shortest decimal text that reads back the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  (NaN is unequal to itself)
            raise ValueError(f"{value} is not a quantity: write a finite number")
        return repr(value)
    return str(value)
