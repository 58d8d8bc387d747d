"""A failing walk made short: leave steps out, halves first, as long as the same rule still breaks."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.conftest import RAM
from tests.simulation.random_walk import Step, play


def play_once(seed: int, steps: Sequence[Step]) -> str:
    """One episode in a folder of its own; "" or what broke."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=RAM if RAM.is_dir() else None))
    try:
        return play(folder, seed, steps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shrink(seed: int, steps: Sequence[Step], failure: str, *, seconds: float) -> tuple[list[Step], str]:
    """The shortest list of steps found in that time, and how it fails.

    Args:
        seed: of the episode.
        steps: that fail.
        failure: as :func:`play` said it.
        seconds: to spend.
    """
    until = time.monotonic() + seconds
    shortest, said = list(steps), failure
    size = max(len(shortest) // 2, 1)
    while size >= 1 and time.monotonic() < until:
        at = 0
        while at < len(shortest) and time.monotonic() < until:
            shorter = shortest[:at] + shortest[at + size :]
            found = play_once(seed, shorter)
            if found and _rule(found) == _rule(failure):
                shortest, said = shorter, found
            else:
                at += size
        size //= 2
    return shortest, said


def _rule(failure: str) -> str:
    """What broke, without when, where and which: the same rule for another container is the same failure."""
    text = failure.partition(": ")[2]
    return re.sub(r"[\d.]+|j\d\S*", "", text)[:40]


def report(seed: int, count: int, steps: Sequence[Step], failure: str) -> str:
    """What a person needs to see it again."""
    return (
        f"seed {seed}: {failure}\n"
        f"play it again: make simulate SEED={seed} STEPS={count}\n"
        f"shortened to {len(steps)} steps: {' '.join(map(str, steps))}"
    )
