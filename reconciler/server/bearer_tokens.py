"""Bearer tokens: read from a request, and one secret in a file, for endpoints that only this user may use."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from reconciler.state.atomic_files import read_if_exists, write_atomically


def bearer_token(headers: Mapping[str, str]) -> str:
    """Returns the token of an ``Authorization: Bearer`` header, whose scheme is case-insensitive; else ""."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def load_or_create_token(path: Path) -> str:
    """Returns the secret in a file, which is created (0600) where there is none.

    Raises:
        StateError: the file cannot be read or written.
    """
    stored = (read_if_exists(path) or b"").strip()
    if stored:
        return stored.decode()
    created = secrets.token_urlsafe(32)
    write_atomically(path, created.encode() + b"\n", mode=0o600)
    return created
