"""Which bodies are valid reports, as upstream's server and API server decide."""

from __future__ import annotations

import json

import pytest

from reconciler.controller.nodeservices.progress.report_payload import InvalidReport, parse_report

AT = "2026-01-02T03:04:05Z"


def body(**status) -> bytes:
    return json.dumps({"trainerStatus": {"lastUpdatedTime": AT, **status}}).encode()


def rejection(data: bytes) -> str:
    with pytest.raises(InvalidReport) as caught:
        parse_report(data)
    return caught.value.message


def test_full_report_is_kept_as_kubernetes_does() -> None:
    metrics = [{"name": "loss", "value": "0.5", "unit": "?"}]
    sent = body(progressPercentage=40, estimatedRemainingSeconds=90, metrics=metrics, more={"x": 1})

    assert parse_report(sent) == {
        "progressPercentage": 40,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.5"}],
        "lastUpdatedTime": AT,
    }


@pytest.mark.parametrize("data", [b"{}", b"null", b' {"trainerStatus": null} ', b'{"other": 1}'])
def test_empty_report_is_none(data: bytes) -> None:
    assert parse_report(data) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-02T03:04:05.678901+00:00", "2026-01-02T03:04:05Z"),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05Z"),
    ],
)
def test_time_is_kept_in_utc_to_the_second(sent: str, kept: str) -> None:
    assert parse_report(body(lastUpdatedTime=sent)) == {"lastUpdatedTime": kept}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"invalid payload",
        b"{}{}",
        b"{} invalid",
        b"{}]",
        b"[]",
        b'"text"',
        b"[" * 50_000,
        b'{"trainerStatus": []}',
        b'{"trainerStatus": {"progressPercentage": NaN}}',
        b'{"trainerStatus": {"progressPercentage": ' + b"9" * 5000 + b"}}",
        *(
            body(progressPercentage=value)
            for value in ("40", 40.5, 40.0, True, [], {}, 2**31, -(2**31) - 1)
        ),
        *(body(metrics=value) for value in ({}, "loss", 0, ["loss"], [{"name": 1, "value": "1"}])),
        *(body(metrics=[{"name": "loss", "value": value}]) for value in (0.5, 0, False, [], {})),
        *(
            body(lastUpdatedTime=value)
            for value in ("", "yesterday", "2026-01-02", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05", 1767323045,
                          "2026-W01-1T00:00:00Z", "2026-13-02T03:04:05Z")
        ),
    ],
)  # fmt: skip
def test_undecodable_payload_is_invalid(data: bytes) -> None:
    assert rejection(data) == "Invalid payload"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (body(progressPercentage=101), "progressPercentage in body should be less than or equal to 100"),
        (body(progressPercentage=-1), "progressPercentage in body should be greater than or equal to 0"),
        (body(estimatedRemainingSeconds=-1), "estimatedRemainingSeconds in body should be greater than"),
        (body(metrics=[{"name": "", "value": "1"}]), "metrics[0].name in body should be at least 1 chars"),
        (body(metrics=[{"name": "a"}]), "metrics[0].value in body should be at least 1 chars"),
        (body(metrics=[None]), "metrics[0].name in body should be at least 1 chars"),
        (body(metrics=[{"name": "a" * 65, "value": "1"}]), "metrics[0].name: Too long"),
        (body(metrics=[{"name": "a", "value": "1" * 65}]), "metrics[0].value: Too long"),
        (body(metrics=[{"name": "a", "value": "1"}] * 257), "must have at most 256 items"),
        (b'{"trainerStatus": {"progressPercentage": 1}}', "lastUpdatedTime is required"),
        (b'{"trainerStatus": {}}', "lastUpdatedTime is required"),
    ],
)
def test_value_outside_the_crds_range_names_the_field(data: bytes, message: str) -> None:
    assert message in rejection(data)


def test_limits_are_inclusive_and_count_characters() -> None:
    metrics = [{"name": "ä" * 64, "value": "ß" * 64}] * 256

    kept = parse_report(body(progressPercentage=100, estimatedRemainingSeconds=2**31 - 1, metrics=metrics))

    assert kept is not None
    assert len(kept["metrics"]) == 256
