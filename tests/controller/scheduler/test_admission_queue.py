"""Who may start: the queue against the host's capacity."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.scheduler.admission_queue import Ask, judge_queue

GPU = "nvidia.com/gpu"


def ask(key: str, *, since: float = 0.0, priority: int = 0, **amounts: float) -> Ask:
    named = {GPU if k == "gpu" else k: v for k, v in amounts.items()}
    return Ask(key=key, amounts=named, since=since, priority=priority)


def test_a_job_gets_everything_it_asks_for_or_waits() -> None:
    verdicts = judge_queue([ask("a", gpu=3)], [{GPU: 2.0}], {GPU: 4.0})

    assert verdicts.admitted == ()
    assert verdicts.waiting["a"] == "Waits for 3 nvidia.com/gpu (2 of 4 free); position 1 in the queue."


def test_the_older_goes_first_and_priority_before_age() -> None:
    queue = [
        ask("young", since=2, gpu=1),
        ask("old", since=1, gpu=1),
        ask("urgent", since=3, priority=5, gpu=1),
    ]

    verdicts = judge_queue(queue, [], {GPU: 2.0})

    assert verdicts.admitted == ("urgent", "old")
    assert list(verdicts.waiting) == ["young"]


def test_a_small_job_does_not_take_what_the_head_of_the_queue_waits_for() -> None:
    queue = [ask("big", since=1, gpu=4), ask("small", since=2, gpu=1)]

    verdicts = judge_queue(queue, [{GPU: 2.0}], {GPU: 4.0})

    assert verdicts.admitted == ()
    assert "position 2" in verdicts.waiting["small"]


def test_a_job_that_needs_nothing_the_head_lacks_may_pass() -> None:
    queue = [ask("gpus", since=1, gpu=4, cpu=1), ask("cpus", since=2, cpu=1)]

    verdicts = judge_queue(queue, [{GPU: 2.0, "cpu": 1.0}], {GPU: 4.0, "cpu": 4.0})

    assert verdicts.admitted == ("cpus",)


def test_more_memory_than_the_host_has_is_said_in_so_many_words() -> None:
    verdicts = judge_queue([ask("a", memory=64 * 1024**3)], [], {"memory": 32 * 1024**3})

    assert "more than this host has (32 GiB memory)" in verdicts.waiting["a"]


def test_more_cpus_than_the_host_has_run_alone() -> None:
    wide = ask("wide", cpu=8)

    assert judge_queue([wide], [], {"cpu": 2.0}).admitted == ("wide",)
    assert judge_queue([wide], [{"cpu": 1.0}], {"cpu": 2.0}).admitted == ()
    assert judge_queue([ask("b", cpu=1)], [{"cpu": 8.0}], {"cpu": 2.0}).admitted == ()


def test_an_unknown_capacity_holds_nobody_up() -> None:
    assert judge_queue([ask("a", cpu=8, memory=1e12)], [], {}).admitted == ("a",)


def test_max_jobs_counts_what_runs() -> None:
    queue = [ask("a", since=1), ask("b", since=2)]

    verdicts = judge_queue(queue, [{}], {}, max_jobs=2)

    assert verdicts.admitted == ("a",)
    assert verdicts.waiting["b"] == "Waits for one of 2 places for jobs; position 1 in the queue."


asks = st.lists(
    st.builds(
        Ask,
        key=st.uuids().map(str),
        amounts=st.dictionaries(st.sampled_from([GPU, "memory"]), st.integers(1, 6).map(float)),
        priority=st.integers(0, 2),
        since=st.integers(0, 5).map(float),
    ),
    max_size=8,
    unique_by=lambda a: a.key,
)


@given(
    asks,
    st.lists(st.dictionaries(st.sampled_from([GPU, "memory"]), st.integers(1, 3).map(float)), max_size=3),
)
def test_never_more_is_given_than_there_is_and_nobody_is_forgotten(
    queue: list[Ask], held: list[dict[str, float]]
) -> None:
    capacity = {GPU: 6.0, "memory": 8.0}

    verdicts = judge_queue(queue, held, capacity)

    by_key = {a.key: a for a in queue}
    for kind, total in capacity.items():
        before = sum(h.get(kind, 0) for h in held)
        given_out = sum(by_key[k].amounts.get(kind, 0) for k in verdicts.admitted)
        assert given_out == 0 or before + given_out <= total
    assert {*verdicts.admitted, *verdicts.waiting} == set(by_key)


@given(asks)
def test_an_admitted_job_leaves_the_head_of_the_queue_what_it_needs(queue: list[Ask]) -> None:
    capacity = {GPU: 6.0, "memory": 8.0}

    verdicts = judge_queue(queue, [], capacity)

    if not verdicts.waiting:
        return
    order = sorted(queue, key=lambda a: (-a.priority, a.since, a.key))
    head = next(a for a in order if a.key in verdicts.waiting)
    passed = [a for a in order[order.index(head) + 1 :] if a.key in verdicts.admitted]
    for kind, amount in head.amounts.items():
        ahead = sum(a.amounts.get(kind, 0) for a in order[: order.index(head)] if a.key in verdicts.admitted)
        taken = sum(a.amounts.get(kind, 0) for a in passed)
        assert taken == 0 or ahead + taken + amount <= capacity[kind]
