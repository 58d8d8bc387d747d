"""Tokens: which job they belong to, and their renewal in the mounted files."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import jwt
import pytest

from reconciler.controller.nodeservices.progress.progress_tokens import ProgressTokens, load_or_create_key
from reconciler.controller.nodeservices.progress.token_renewal import renew_tokens

KEY = b"k" * 32


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> ProgressTokens:
    return ProgressTokens(KEY, clock=clock)


def test_token_is_valid_for_its_own_job_for_an_hour(tokens: ProgressTokens, clock: Clock) -> None:
    token = tokens.issue(namespace="team", job="demo", uid="u1")

    assert tokens.uid(token, namespace="team", job="demo") == "u1"
    clock.now += 3599
    assert tokens.uid(token, namespace="team", job="demo") == "u1"
    clock.now += 1
    assert tokens.uid(token, namespace="team", job="demo") is None


def test_token_has_upstreams_claims(tokens: ProgressTokens, clock: Clock) -> None:
    claims = jwt.decode(
        tokens.issue(namespace="team", job="demo", uid="u1"), options={"verify_signature": False}
    )

    assert claims["aud"] == ["trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/demo/status"]
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["kubernetes.io"]["namespace"] == "team"


@pytest.mark.parametrize(
    ("namespace", "job"), [("team", "other"), ("default", "demo"), ("team/trainjobs", "x")]
)
def test_token_of_another_job_is_not_valid(tokens: ProgressTokens, namespace: str, job: str) -> None:
    token = tokens.issue(namespace="team", job="demo", uid="u1")

    assert tokens.uid(token, namespace=namespace, job=job) is None


def _unsigned(claims: dict) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."
    )


def test_forged_tokens_are_not_valid(tokens: ProgressTokens) -> None:
    good = tokens.issue(namespace="team", job="demo", uid="u1")
    claims = jwt.decode(good, options={"verify_signature": False})
    head, payload, signature = good.split(".")
    without_exp = {k: v for k, v in claims.items() if k != "exp"}
    forged = [
        "",
        "x",
        "a.b.c",
        good[:-2],
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[::-1]}",
        _unsigned(claims),
        jwt.encode(claims, b"z" * 32, algorithm="HS256"),
        jwt.encode(without_exp, KEY, algorithm="HS256"),
        jwt.encode(claims | {"iss": "else"}, KEY, algorithm="HS256"),
        jwt.encode(claims | {"kubernetes.io": "team"}, KEY, algorithm="HS256"),
        jwt.encode(claims | {"exp": "never"}, KEY, algorithm="HS256"),
        "é" * 100,
        "a" * 10_000,
    ]

    assert [tokens.uid(token, namespace="team", job="demo") for token in forged] == [None] * len(forged)


def test_key_is_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "progress" / "token.key"

    assert load_or_create_key(path) == load_or_create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600


def mounted(root: Path, job: str, *, age: float, now: float) -> Path:
    path = root / "team" / job / f"{job}-node-0" / "kubeflow-trainer-token" / "token"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    path.chmod(0o640)
    os.utime(path, (now - age, now - age))
    return path


def test_token_is_renewed_after_four_fifths_of_its_life(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    old = mounted(tmp_path, "old", age=2881, now=now)
    young = mounted(tmp_path, "young", age=2879, now=now)
    future = mounted(tmp_path, "future", age=-7200, now=now)
    gone = mounted(tmp_path, "gone", age=9999, now=now)

    renewed = renew_tokens(tmp_path, lambda ns, job: None if job == "gone" else f"{ns}/{job}", now=now)

    assert renewed == 2
    assert [p.read_text() for p in (old, young, future, gone)] == ["team/old", "old", "team/future", "old"]
    assert old.stat().st_mode & 0o777 == 0o640
    assert renew_tokens(tmp_path, lambda _ns, _job: "again", now=now) == 1  # the one without a job
    assert sorted(p.name for p in old.parent.iterdir()) == ["token"]


def test_folder_removed_during_renewal_is_not_recreated(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    path = mounted(tmp_path, "demo", age=9999, now=now)

    def issue(_namespace: str, _job: str) -> str:
        path.unlink()
        path.parent.rmdir()
        return "late"

    assert renew_tokens(tmp_path, issue, now=now) == 0
    assert not path.parent.exists()
