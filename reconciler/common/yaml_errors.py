"""What PyYAML raises beside its own errors.

Its constructors take a value at its tag's word: ``!!int ""`` is an IndexError, ``!!bool x`` a KeyError,
``!!timestamp x`` an AttributeError, and a deep nesting ends in a RecursionError. Who reads a file that people
write catches these together with ``yaml.YAMLError``.
"""

from __future__ import annotations

from typing import Final

MISFITS: Final = (ValueError, LookupError, AttributeError, TypeError, OverflowError, RecursionError)
#: In a sentence about the file.
MISFIT: Final = "a value does not fit its tag"
