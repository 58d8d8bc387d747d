"""``python -m tests.fuzz --seconds 600``: every target in turn; failing inputs are shown and kept aside."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.running import fuzz, keep
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="in all")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--keep", type=int, default=0, help="let the corpus grow to so many files a target")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4), "big")
    targets = chosen.target or sorted(TARGETS)
    failed = 0
    for target in targets:
        try:
            found = fuzz(
                target, seconds=chosen.seconds / len(targets), chance=random.Random(f"{seed}{target}")
            )
        except AssertionError as error:
            failed = 1
            place = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-")) / "failure.txt"
            place.write_text(str(error))
            print(f"{target}: FAILED (seed {seed}), see {place}\n{str(error)[:3000]}")
            continue
        added = keep(target, found.kept, most=chosen.keep) if chosen.keep else 0
        print(
            f"{target}: {found.runs} inputs, {len(found.shapes)} different outcomes, "
            f"slowest {found.slowest:.2f} s, {added} kept (seed {seed})",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
