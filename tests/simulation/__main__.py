"""``make simulate STEPS=1000000 [SEED=n]``: random walks, as many as asked for, beyond what ``make test`` has time for."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.random_walk import EPISODE, steps_of
from tests.simulation.shrinker import play_once, report, shrink

SHRINK_SECONDS = 120.0


def _episode(seed: int, count: int) -> tuple[int, int, str]:
    return seed, count, play_once(seed, steps_of(seed, count))


def main() -> int:
    """Walk; 1 when a rule was broken."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None, help="of the first episode; random unless given")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    first = asked.seed if asked.seed is not None else secrets.randbits(31)
    full, rest = divmod(asked.steps, EPISODE)
    counts = [EPISODE] * full + ([rest] if rest else [])
    print(f"{asked.steps} steps in {len(counts)} episodes, seeds from {first}", flush=True)
    began, done = time.monotonic(), 0
    with ProcessPoolExecutor(asked.workers) as pool:
        for seed, count, failure in pool.map(_episode, range(first, first + len(counts)), counts):
            done += count
            if failure:
                print(f"seed {seed}: {failure}\nshortening ...", flush=True)
                steps, said = shrink(seed, steps_of(seed, count), failure, seconds=SHRINK_SECONDS)
                print(report(seed, count, steps, said))
                pool.shutdown(cancel_futures=True)
                return 1
            if done % (EPISODE * 50) == 0:
                print(f"{done} steps, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{done} steps held all rules, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
