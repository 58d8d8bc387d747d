"""Requests to remove a job by name: for which object they are, and when they are void."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from reconciler.state.requests.removal_requests import RemovalRequest, RemovalRequests

NOW = 1_000_000.0


@dataclass(frozen=True)
class Recorded:
    uid: str
    created_at: float


@pytest.fixture
def requests(tmp_path) -> RemovalRequests:
    return RemovalRequests(tmp_path / "removals" / "one")


def request(uid: str = "u-1", name: str = "demo") -> RemovalRequest:
    return RemovalRequest(namespace="default", name=name, uid=uid, requested_at=NOW)


def keys(requests: RemovalRequests, recorded: Recorded | None) -> frozenset[str]:
    return requests.keys_for(lambda _: recorded)


def test_a_request_is_for_the_object_not_for_the_name(requests):
    requests.add(request())

    assert keys(requests, Recorded("u-1", NOW - 100)) == {"default/demo"}
    assert keys(requests, Recorded("rerun-meanwhile", NOW - 1)) == {"default/demo"}
    assert keys(requests, Recorded("made-anew", NOW + 60)) == frozenset()
    assert keys(requests, None) == {"default/demo"}, "what its labels are on"


def test_a_withdrawn_request_is_gone_and_changes_are_noticed(requests):
    requests.has_changed()
    requests.add(request())

    assert requests.has_changed()
    assert not requests.has_changed()
    requests.withdraw("default/demo")
    assert requests.has_changed()
    assert requests.read() == []
    requests.withdraw("default/demo")


def test_a_manifest_that_is_back_voids_a_request_after_a_minute(requests):
    requests.add(request())
    same = Recorded("u-1", NOW - 100)

    requests.withdraw_void({"default/demo"}, lambda _: same, now=NOW + 30)
    assert requests.read()
    requests.withdraw_void((), lambda _: same, now=NOW + 3600)
    assert requests.read(), "not carried out yet"
    requests.withdraw_void({"default/demo"}, lambda _: same, now=NOW + 61)
    assert requests.read() == []


def test_a_request_that_its_object_is_gone_for_is_void(requests):
    requests.add(request())

    requests.withdraw_void((), lambda _: None, now=NOW + 61)

    assert requests.read() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"namespace": "a"}', "x" * 100_000])
def test_what_is_no_request_is_left_out(requests, tmp_path, text):
    requests.add(request(name="a" * 250))
    (tmp_path / "removals" / "one" / "foreign.json").write_text(text)

    assert [r.name for r in requests.read()] == ["a" * 250]


def test_a_link_or_a_fifo_is_not_read(requests, tmp_path):
    import os  # noqa: PLC0415

    requests.add(request())
    folder = tmp_path / "removals" / "one"
    os.mkfifo(folder / "fifo.json")
    (folder / "link.json").symlink_to("/dev/zero")

    assert [r.name for r in requests.read()] == ["demo"]
