"""40,000 random steps (``make test-long``: 100,000); after each, the rules that no fault excuses hold.

``make simulate`` walks as far as it is asked to, a million steps by default.
"""

from __future__ import annotations

import pytest

from tests.simulation.random_walk import EPISODE, steps_of
from tests.simulation.shrinker import play_once, report, shrink
from tests.support import extent

STEPS = 100_000 if extent.LONG else 40_000
SHARDS = 10
SHRINK_SECONDS = 60.0
#: Episodes that have broken a rule once.
FOUND = {
    "waits for ever after the clock was set back twice": 2000162,
    "nobody is at the head of the queue after a rerun": 3000063,
    "a sidecar stays where no record tells of it": 7000201,
    "passes without end while the clock is a little ahead": 91000014,
    "passes without end for a time that was rounded down": 101000243,
    "passes without end for an image while the clock is a little behind": 8022,
}


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_all_rules_hold_whatever_happens(shard: int) -> None:
    episodes = STEPS // SHARDS // EPISODE
    for seed in range(1000 * shard, 1000 * shard + episodes):
        failure = play_once(seed, steps_of(seed))
        if failure:
            steps, said = shrink(seed, steps_of(seed), failure, seconds=SHRINK_SECONDS)
            pytest.fail(report(seed, EPISODE, steps, said), pytrace=False)


@pytest.mark.parametrize("seed", FOUND.values(), ids=FOUND.keys())
def test_what_was_found_once_does_not_come_back(seed: int) -> None:
    assert play_once(seed, steps_of(seed)) == ""


def test_a_walk_plays_again_as_it_was() -> None:
    """Else no failing seed would be worth anything."""
    steps = steps_of(5)
    assert steps == steps_of(5)
    assert play_once(5, steps) == play_once(5, steps)


def test_the_rules_notice_a_daemon_that_forgets_rank_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch itself works: a controller with a known bug does not pass."""
    from reconciler.controller.executor import executor, launch  # noqa: PLC0415

    monkeypatch.setattr(
        executor,
        "launch_pods",
        lambda plan, record, network, launches, context: launch.launch_pods(
            plan, record, network, launches[::-1], context
        ),
    )
    assert "created before rank 0" in "".join(play_once(seed, steps_of(seed)) for seed in range(3))
