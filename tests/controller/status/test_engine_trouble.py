"""What jobs are told of an engine that does not do what it was asked for."""

from __future__ import annotations

from typing import Any

from reconciler.common.liveness import SlowStep
from reconciler.controller.status.engine_trouble import EngineTrouble
from reconciler.errors import EngineError, EngineUnavailable


class _State:
    """Notes what is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []

    def set_message(self, key: str, _file: str, message: str, *, condition: Any) -> None:
        self.told.append((key, message, condition))

    def unfinished(self) -> set[str]:
        return {"default/a", "default/b"}


def _trouble() -> tuple[EngineTrouble, _State, list[str]]:
    state, queued = _State(), list[str]()
    trouble = EngineTrouble(state, file_of=lambda key: f"{key}.yaml", enqueue=queued.append)  # type: ignore[arg-type]
    return trouble, state, queued


def test_errors_are_told_by_their_kind() -> None:
    trouble, state, _ = _trouble()

    trouble.report("default/a", EngineError("It failed."))
    trouble.report("default/a", EngineUnavailable("It is away."))

    assert state.told == [
        ("default/a", "It failed.", ("EngineFailing", "EngineError")),
        ("default/a", "It is away.", ("EngineFailing", "EngineUnavailable")),
    ]


def test_a_slow_call_is_told_once_and_looked_at_again_when_its_pass_is_over() -> None:
    trouble, state, _ = _trouble()
    step = SlowStep("default/a", "a call of Podman to list containers", 11.0)

    trouble.report_slow_calls([step])
    trouble.report_slow_calls([SlowStep(step.about, step.name, 12.0), SlowStep("", "anything", 99.0)])

    assert [(key, message) for key, message, _ in state.told] == [
        ("default/a", "Still waits, after 11 s, for a call of Podman to list containers.")
    ]
    assert trouble.was_slow("default/a")
    assert not trouble.was_slow("default/a")


def test_a_listing_that_fails_is_told_to_all_and_taken_back() -> None:
    trouble, state, queued = _trouble()

    for error in ("It drips.", "It drips.", ""):
        trouble.report_listing(error)

    assert [(key, message) for key, message, _ in state.told] == [
        ("default/a", "It drips."),
        ("default/b", "It drips."),
    ]
    assert queued == ["default/a", "default/b"]
