"""The endpoint that a git server calls after a push, so that a commit is looked at at once.

It makes the daemon look; what it is sent says nothing that is believed. Who may call is told by one secret,
in the forms that servers have: GitHub's (and Gitea's) signature of the body, GitLab's token, a bearer token.
The latter two show the secret to whoever reads along, and what is served here is plain HTTP: so beyond this
machine only signatures count.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from typing import Final

import structlog

from reconciler.config.settings import Settings
from reconciler.server.bearer_tokens import bearer
from reconciler.server.client_limits import Limits
from reconciler.server.http_server import Server
from reconciler.server.messages import FORBIDDEN, Head, Request, Response, as_json
from reconciler.server.routing import Route, Routes
from reconciler.sources.git.git_credentials import read_secret
from reconciler.state.atomic_files import read_if_exists, write_atomically

PATH: Final = "/hook"
CREDENTIAL: Final = "git-webhook-secret"
VARIABLE: Final = "RECONCILER_GIT_WEBHOOK_SECRET"
#: A push of many commits is a long message; it is read for its signature and thrown away.
LIMITS: Final = Limits(body=1024 * 1024, connections=16, per_peer=8)
_SIGNATURE: Final = "x-hub-signature-256"

_log = structlog.get_logger(__name__)


class Webhook:
    """See the module; open until closed.

    Args:
        settings: with an address for it.
        look: makes the daemon look at the repository.

    Raises:
        GitError: the secret's file cannot be read.
        StateError: a secret cannot be made.
        ServingError: the address is taken.
    """

    def __init__(self, settings: Settings, *, look: Callable[[], None]) -> None:
        address, _, port = settings.git_webhook.rpartition(":")
        address = address.strip("[]")
        self._look = look
        self._secret = _secret(settings).encode()
        self._near = ipaddress.ip_address(address).is_loopback
        self._server = Server(LIMITS)
        opened = self._server.listen(
            address, int(port), Routes(Route("POST", PATH, self._pushed, admit=self._admit))
        )
        _log.info("waiting for calls of the git server", address=address, port=opened.port, path=PATH)

    def close(self) -> None:
        """Take no more calls."""
        self._server.close()

    def _admit(self, head: Head) -> Response | None:
        """Before the body is read: who has neither signature nor token sends none."""
        if _SIGNATURE in head.headers:
            return None
        token = head.headers.get("x-gitlab-token", "") or bearer(head)
        if self._near and hmac.compare_digest(token.encode(), self._secret):
            return None
        return _refused(head)

    def _pushed(self, request: Request) -> Response:
        signature = request.headers.get(_SIGNATURE)
        made = f"sha256={hmac.new(self._secret, request.body, hashlib.sha256).hexdigest()}"
        if signature is not None and not hmac.compare_digest(signature.encode(), made.encode()):
            return _refused(request)
        self._look()
        return as_json({"status": "Success", "message": "The repository is looked at."}, status=202)


def _refused(head: Head) -> Response:
    _log.warning("a call of the webhook was refused: it has not the secret", peer=head.peer)
    return FORBIDDEN


def _secret(settings: Settings) -> str:
    """The secret that is given, else one that is made once and kept, for this machine's own hooks."""
    given = read_secret(CREDENTIAL, settings.git_webhook_secret_file, VARIABLE)
    if given or settings.git_folder is None:
        return given or secrets.token_urlsafe(32)
    path = settings.git_folder / "webhook-secret"
    kept = (read_if_exists(path) or b"").decode().strip()
    if not kept:
        kept = secrets.token_urlsafe(32)
        write_atomically(path, f"{kept}\n".encode(), mode=0o600)
    _log.info("the webhook's secret is kept", file=str(path))
    return kept
