"""The corpus is replayed, and each target runs for a few seconds on changed inputs (`make fuzz` for longer)."""

from __future__ import annotations

import os
import random

import pytest

from tests.fuzz.running import fuzz, run_one, seeds
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
#: The same walk each time: what is new is looked for by `make fuzz`, not by who waits for the tests.
SEED = os.environ.get("FUZZ_SEED", "20261124")


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_input_of_the_corpus_is_taken(target: str) -> None:
    for data in seeds(target):
        run_one(target, data)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_changed_inputs_are_taken(target: str) -> None:
    found = fuzz(target, seconds=SECONDS, chance=random.Random(SEED))

    assert found.runs, f"seed {SEED}"
