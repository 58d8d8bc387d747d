"""Exceptions that PyYAML raises beside ``yaml.YAMLError``.

Its constructors trust a value's tag: ``!!int ""`` is an IndexError, ``!!bool x`` a KeyError, ``!!timestamp
x`` an AttributeError, and deep nesting ends in a RecursionError. Code that reads a file written by people
catches these together with ``yaml.YAMLError``.
"""

from __future__ import annotations

from typing import Final

YAML_VALUE_ERRORS: Final = (
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    OverflowError,
    RecursionError,
)
#: For a sentence about the file.
YAML_VALUE_MESSAGE: Final = "a value does not fit its tag"
