"""Tokens that let a job report its own progress, and nothing else.

Upstream has them from the API server (projected service account tokens); here the daemon signs them, with a
key that outlives it, so that a job which runs on through a restart can still report. Clients take a token
as it is. What can go wrong: a token of another job, of an earlier life of this one, or one that has run
out: all of them are refused alike, without a word why.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from reconciler.plan.progress_reporting import TOKEN_SECONDS, audience
from reconciler.state.atomic_files import read_if_exists, write_atomically

ALGORITHM: Final = "HS256"
KEY_BYTES: Final = 32
ISSUER: Final = "reconciler"


def kept_key(path: Path) -> bytes:
    """The signing key in a file (0600), made where there is none.

    Raises:
        StateError: the file cannot be read or written.
    """
    stored = read_if_exists(path)
    if stored is not None and len(stored) == KEY_BYTES:
        return stored
    made = secrets.token_bytes(KEY_BYTES)
    write_atomically(path, made, mode=0o600)
    return made


class Tokens:
    """Makes and reads tokens.

    Args:
        key: to sign with.
        clock: seconds since the epoch.
    """

    def __init__(self, key: bytes, *, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock

    def issue(self, *, namespace: str, job: str, uid: str) -> str:
        """A token for this life of a job, good for an hour."""
        import jwt  # noqa: PLC0415  (not for every command)

        now = int(self._clock())
        claims = {
            "iss": ISSUER,
            "sub": f"trainjob:{namespace}:{job}",
            "aud": [audience(namespace, job)],
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "kubernetes.io": {"namespace": namespace, "trainjob": {"name": job, "uid": uid}},
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def uid(self, token: str, *, namespace: str, job: str) -> str | None:
        """Which life of the job the token is of; None where it is not good for this job now."""
        import jwt  # noqa: PLC0415

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=audience(namespace, job),
                issuer=ISSUER,
                # By this project's clock, below.
                options={"require": ["exp", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
            if float(claims["exp"]) <= self._clock():
                return None
            bound = claims["kubernetes.io"]
            return str(bound["trainjob"]["uid"]) if bound["namespace"] == namespace else None
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
