"""Tokens that let a job report its own progress, and nothing else.

Upstream gets them from the API server (projected service account tokens); here the daemon signs them, with a
key that outlives it, so that a job which runs through a restart can still report. Clients do not parse a
token. What can go wrong: a token of another job, of a deleted job of the same name, or one that has expired:
all are rejected alike, without a reason.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from reconciler.plan.progress_reporting import TOKEN_SECONDS, token_audience
from reconciler.state.atomic_files import read_if_exists, write_atomically

ALGORITHM: Final = "HS256"
KEY_BYTES: Final = 32
ISSUER: Final = "reconciler"


def load_or_create_key(path: Path) -> bytes:
    """Returns the signing key in a file (0600), which is created where there is none.

    Raises:
        StateError: the file cannot be read or written.
    """
    stored = read_if_exists(path)
    if stored is not None and len(stored) == KEY_BYTES:
        return stored
    key = secrets.token_bytes(KEY_BYTES)
    write_atomically(path, key, mode=0o600)
    return key


class ProgressTokens:
    """Issues and verifies tokens."""

    def __init__(self, key: bytes, *, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    def issue(self, *, namespace: str, job: str, uid: str) -> str:
        """Returns a token for the job with this uid, valid for an hour."""
        import jwt  # noqa: PLC0415  (not every command needs it)

        now = int(self._clock())
        claims = {
            "iss": ISSUER,
            "sub": f"trainjob:{namespace}:{job}",
            "aud": [token_audience(namespace, job)],
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "kubernetes.io": {"namespace": namespace, "trainjob": {"name": job, "uid": uid}},
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def uid(self, token: str, *, namespace: str, job: str) -> str | None:
        """Returns the uid in the token; None where the token is not valid for this job now."""
        import jwt  # noqa: PLC0415

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=token_audience(namespace, job),
                issuer=ISSUER,
                # Checked below, by the clock that is passed in.
                options={"require": ["exp", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            if float(claims["exp"]) <= self._clock():
                return None
            job_claims = claims["kubernetes.io"]
            return str(job_claims["trainjob"]["uid"]) if job_claims["namespace"] == namespace else None
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
