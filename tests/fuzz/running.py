"""The loop: take an input, change it, run a target, keep what does something new."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutating import mutate
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
#: Seconds of the processor that one input may take.
SLOWEST = 10.0


@dataclass
class Found:
    """What a run came to."""

    runs: int = 0
    kept: list[bytes] = field(default_factory=list)
    shapes: set[str] = field(default_factory=set)
    slowest: float = 0.0


def seeds(target: str) -> list[bytes]:
    """The corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def run_one(target: str, data: bytes) -> tuple[str, float]:
    """One input; the target's word and the seconds it took.

    Raises:
        AssertionError: with the input, whatever went wrong.
    """
    begin = time.process_time()
    try:
        shape = TARGETS[target](data)
    except Exception as error:
        raise AssertionError(f"{target}: {type(error).__name__}: {error}\ninput: {data!r}") from error
    took = time.process_time() - begin
    assert took < SLOWEST, f"{target}: {took:.1f} s for {len(data)} bytes: {data[:2000]!r}"
    return shape, took


def fuzz(target: str, *, seconds: float, chance: random.Random) -> Found:
    """Run a target on changed inputs for so many seconds.

    Raises:
        AssertionError: one failed; the message holds the input.
    """
    pool, found = seeds(target), Found()
    for data in pool:
        found.shapes.add(run_one(target, data)[0])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(chance.choice(pool), pool, chance)
        shape, took = run_one(target, data)
        found.runs += 1
        found.slowest = max(found.slowest, took)
        if shape not in found.shapes:
            found.shapes.add(shape)
            found.kept.append(data)
            pool.append(data)
    return found


def keep(target: str, inputs: list[bytes], *, most: int) -> int:
    """Add inputs to the corpus, small ones first, up to ``most`` files; how many were."""
    folder = CORPUS / target
    there = len(list(folder.iterdir()))
    added = sorted((data for data in inputs if len(data) < 2000), key=len)[: max(0, most - there)]
    for data in added:
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    return len(added)
