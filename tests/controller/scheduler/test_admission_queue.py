"""Which waiting jobs may start, by priority, age and what the host has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.scheduler.admission_queue import AdmissionRequest, decide_admissions

GPU = "nvidia.com/gpu"


def request(key: str, *, since: float = 0.0, priority: int = 0, **amounts: float) -> AdmissionRequest:
    named = {GPU if k == "gpu" else k: v for k, v in amounts.items()}
    return AdmissionRequest(key=key, amounts=named, since=since, priority=priority)


def test_a_job_gets_everything_it_requests_or_waits() -> None:
    decision = decide_admissions([request("a", gpu=3)], [{GPU: 2.0}], {GPU: 4.0})

    assert decision.admitted == ()
    assert decision.waiting["a"] == "Waits for 3 nvidia.com/gpu (2 of 4 free); position 1 in the queue."


def test_the_older_goes_first_and_priority_before_age() -> None:
    queue = [
        request("young", since=2, gpu=1),
        request("old", since=1, gpu=1),
        request("urgent", since=3, priority=5, gpu=1),
    ]

    decision = decide_admissions(queue, [], {GPU: 2.0})

    assert decision.admitted == ("urgent", "old")
    assert list(decision.waiting) == ["young"]


def test_a_small_job_does_not_take_what_the_head_of_the_queue_waits_for() -> None:
    queue = [request("big", since=1, gpu=4), request("small", since=2, gpu=1)]

    decision = decide_admissions(queue, [{GPU: 2.0}], {GPU: 4.0})

    assert decision.admitted == ()
    assert "position 2" in decision.waiting["small"]


def test_a_job_that_needs_nothing_the_head_lacks_may_pass_it() -> None:
    queue = [request("gpus", since=1, gpu=4, cpu=1), request("cpus", since=2, cpu=1)]

    decision = decide_admissions(queue, [{GPU: 2.0, "cpu": 1.0}], {GPU: 4.0, "cpu": 4.0})

    assert decision.admitted == ("cpus",)


def test_a_request_for_more_memory_than_the_host_has_says_so() -> None:
    decision = decide_admissions([request("a", memory=64 * 1024**3)], [], {"memory": 32 * 1024**3})

    assert "more than this host has (32 GiB memory)" in decision.waiting["a"]


def test_a_job_that_requests_more_cpus_than_the_host_has_runs_alone() -> None:
    wide = request("wide", cpu=8)

    assert decide_admissions([wide], [], {"cpu": 2.0}).admitted == ("wide",)
    assert decide_admissions([wide], [{"cpu": 1.0}], {"cpu": 2.0}).admitted == ()
    assert decide_admissions([request("b", cpu=1)], [{"cpu": 8.0}], {"cpu": 2.0}).admitted == ()


def test_an_unknown_capacity_is_not_enforced() -> None:
    assert decide_admissions([request("a", cpu=8, memory=1e12)], [], {}).admitted == ("a",)


def test_max_jobs_counts_admitted_jobs() -> None:
    queue = [request("a", since=1), request("b", since=2)]

    decision = decide_admissions(queue, [{}], {}, max_jobs=2)

    assert decision.admitted == ("a",)
    assert decision.waiting["b"] == "Waits for one of 2 places for jobs; position 1 in the queue."


requests = st.lists(
    st.builds(
        AdmissionRequest,
        key=st.uuids().map(str),
        amounts=st.dictionaries(st.sampled_from([GPU, "memory"]), st.integers(1, 6).map(float)),
        priority=st.integers(0, 2),
        since=st.integers(0, 5).map(float),
    ),
    max_size=8,
    unique_by=lambda a: a.key,
)


@given(
    requests,
    st.lists(st.dictionaries(st.sampled_from([GPU, "memory"]), st.integers(1, 3).map(float)), max_size=3),
)
def test_no_more_is_admitted_than_the_host_has_and_every_job_gets_an_answer(
    queue: list[AdmissionRequest], held: list[dict[str, float]]
) -> None:
    capacity = {GPU: 6.0, "memory": 8.0}

    decision = decide_admissions(queue, held, capacity)

    by_key = {a.key: a for a in queue}
    for kind, total in capacity.items():
        before = sum(h.get(kind, 0) for h in held)
        admitted = sum(by_key[k].amounts.get(kind, 0) for k in decision.admitted)
        assert admitted == 0 or before + admitted <= total
    assert {*decision.admitted, *decision.waiting} == set(by_key)


@given(requests)
def test_an_admitted_job_leaves_the_head_of_the_queue_what_it_needs(queue: list[AdmissionRequest]) -> None:
    capacity = {GPU: 6.0, "memory": 8.0}

    decision = decide_admissions(queue, [], capacity)

    if not decision.waiting:
        return
    order = sorted(queue, key=lambda a: (-a.priority, a.since, a.key))
    head = next(a for a in order if a.key in decision.waiting)
    passed = [a for a in order[order.index(head) + 1 :] if a.key in decision.admitted]
    for kind, amount in head.amounts.items():
        ahead = sum(a.amounts.get(kind, 0) for a in order[: order.index(head)] if a.key in decision.admitted)
        taken = sum(a.amounts.get(kind, 0) for a in passed)
        assert taken == 0 or ahead + taken + amount <= capacity[kind]
