"""Bearer tokens that are one secret in a file, for endpoints that only this machine's user may use."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.server.messages import FORBIDDEN, Head, Response
from reconciler.state.atomic_files import read_if_exists, write_atomically


def bearer(head: Head) -> str:
    """The token of an ``Authorization: Bearer`` header, the scheme in any case; "" where there is none."""
    scheme, _, token = head.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class BearerToken:
    """One secret that admits."""

    secret: str = field(repr=False)

    @classmethod
    def kept(cls, path: Path) -> BearerToken:
        """The secret in a file, made (0600) where there is none.

        Raises:
            StateError: the file cannot be read or written.
        """
        stored = read_if_exists(path)
        if stored is not None and stored.strip():
            return cls(stored.decode().strip())
        made = secrets.token_urlsafe(32)
        write_atomically(path, made.encode() + b"\n", mode=0o600)
        return cls(made)

    def admit(self, head: Head) -> Response | None:
        """For :class:`reconciler.server.routing.Route`: 403 to who has another token, or none."""
        return None if hmac.compare_digest(bearer(head).encode(), self.secret.encode()) else FORBIDDEN
