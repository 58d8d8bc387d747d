"""Bearer tokens: one secret in a file, for endpoints that only this machine's user may use."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.state.atomic_files import read_if_exists, write_atomically


def bearer_token(headers: Mapping[str, str]) -> str:
    """Returns the token of an ``Authorization: Bearer`` header, whose scheme is case-insensitive; else ""."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class BearerToken:
    """One secret that authorizes requests."""

    secret: str = field(repr=False)

    @classmethod
    def load_or_create(cls, path: Path) -> BearerToken:
        """Returns the secret in a file, which is created (0600) where there is none.

        Raises:
            StateError: the file cannot be read or written.
        """
        stored = read_if_exists(path)
        if stored is not None and stored.strip():
            return cls(stored.decode().strip())
        created = secrets.token_urlsafe(32)
        write_atomically(path, created.encode() + b"\n", mode=0o600)
        return cls(created)

    def authorizes(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has this token."""
        return hmac.compare_digest(bearer_token(headers).encode(), self.secret.encode())
