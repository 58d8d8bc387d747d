"""Checks that an engine's answer has the shape that is expected of it, before anything is decided on it.

An answer that is believed although it is none has consequences: a list whose items lack their ids looks
like a list without the job's containers, and its ranks run twice. So every answer that is used has a shape
here; whatever does not fit (another type, a field that is missing, text that is no JSON, a time that is
none) is an engine error like any other: the pass is given up and made again later. Fields that nobody reads
are not checked, and left out.

What engines of all versions really send is let through: null for an empty list or map, fields that came
later.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError

from reconciler.errors import EngineError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Characters of an answer, or of a value in it, that a message quotes.
_QUOTED: Final = 60
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$")

T = TypeVar("T")


class WrongAnswer(EngineError):  # noqa: N818  (names what came, as the others do)
    """An engine's answer has not the shape that it must have; what was asked for may have been done."""

    def __init__(self, engine: str, action: str, problem: str) -> None:
        super().__init__(
            f"{engine} gave an answer that cannot be understood when it was to {action}: {problem}.",
            remedy="Nothing was decided on it; it is asked again. A proxy before its socket, or a version of "
            "the engine that is too old or too new, may be the cause.",
        )
        self.problem = problem


def read_time(text: str) -> float | None:
    """Returns seconds since the epoch of an engine's RFC 3339 text; None for its "never" ("", year 1).

    Nanoseconds are kept as far as a float can: Python's own parser takes only six digits.

    Raises:
        ValueError: it is no time.
    """
    if not text:
        return None
    match = _TIME.match(text)
    if match is None:
        raise ValueError("should be a time as RFC 3339 has it")
    if match[1].startswith("0001-"):
        return None
    moment = datetime.fromisoformat(match[1] + (match[3] or "Z").replace("Z", "+00:00"))
    return moment.astimezone(UTC).timestamp() + float(match[2] or 0)


def _check_time(text: str) -> str:
    try:
        read_time(text)
    except OverflowError as error:
        raise ValueError("should be a time that can be counted") from error
    return text


def _check_subnet(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


def _check_address(text: str) -> str:
    if text:
        ipaddress.ip_interface(text)
    return text


#: A name or id as it goes into the path of further calls.
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
Word = Annotated[str, StringConstraints(min_length=1)]
Time = Annotated[str, AfterValidator(_check_time)]
#: Go's integers.
Number = Annotated[int, Field(ge=-(2**63), lt=2**64)]
Decimal = Annotated[float, Field(allow_inf_nan=False, ge=-(2.0**64), le=2.0**64)]
Seconds = Annotated[int, Field(ge=-(2**40), le=2**40)]
LabelMap = dict[str, str] | None
Subnet = Annotated[str, AfterValidator(_check_subnet)]
Address = Annotated[str, AfterValidator(_check_address)]


class Shape(Generic[T]):
    """The shape of an answer.

    Args:
        type_: of the decoded answer, made of typed dictionaries and of the types above.
    """

    def __init__(self, type_: Any) -> None:
        self._type = type_

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[T]:
        # Late: making one costs a millisecond or more, and most commands need none.
        return TypeAdapter(self._type)

    def read(self, body: bytes, *, engine: str, action: str) -> T:
        """Returns the decoded answer.

        Args:
            body: of the answer; an empty one is read as JSON's null.
            engine: which answered, for the message.
            action: completes "when it was to ...".

        Raises:
            WrongAnswer: it does not have this shape.
        """
        try:
            return self._adapter.validate_json(body.strip() or b"null", strict=True)
        except ValidationError as error:
            problem = _describe(error.errors(include_url=False, include_context=False)[0], body)
        raise WrongAnswer(engine, action, problem)


def _describe(error: ErrorDetails, body: bytes) -> str:
    """Returns what is wrong, where, and what came; no more of it than helps, for it may have secrets."""
    where = ".".join(str(part) for part in error["loc"])
    field = f"`{where}`" if where else "it"
    if error["type"] == "json_invalid":
        return f"it is no JSON, or none that can be read; it begins with {quote(body)}"
    if error["type"] == "missing":
        return f"{field} is missing"
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
    expected = expected[0].lower() + expected[1:]
    if not expected.startswith("should"):
        expected = f"is wrong ({expected})"
    return f"{field} {expected}, and is {_name(error['input'])}"


def _name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    return quote(str(value).encode(errors="replace"))


def quote(text: bytes) -> str:
    """Returns the beginning of something from outside, fit for a message."""
    shown = text[:_QUOTED].decode(errors="replace").strip()
    return repr(shown + ("..." if len(text) > _QUOTED else ""))
