"""``did you mean``: the known word that a misspelt one is nearest to. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns `` (did you mean X?)`` where a choice is near, else ""; letter case aside."""
    lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f" (did you mean {lower[near[0]]}?)" if near else ""
