"""The endpoint that a git server calls after a push, so that the commit is fetched at once.

A call makes the daemon fetch; its content is not used. Who may call is decided by one secret, in the
forms that servers have: GitHub's (and Gitea's) signature of the body, GitLab's token, a bearer token. The
latter two show the secret to whoever reads along, and what is served here is plain HTTP: so beyond this
machine only signatures count.

Imports Starlette: import this module only where the endpoint opens.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.config.settings import Settings
from reconciler.server.asgi.connection_limits import ConnectionLimits
from reconciler.server.asgi.http_server import Server
from reconciler.server.bearer_tokens import bearer_token, load_or_create_token
from reconciler.server.status_responses import ApiResponse, build_application, error_response
from reconciler.sources.git.git_credentials import read_secret

PATH: Final = "/hook"
CREDENTIAL: Final = "git-webhook-secret"
VARIABLE: Final = "RECONCILER_GIT_WEBHOOK_SECRET"
#: A push of many commits is a long message; its body is read for its signature only.
LIMITS: Final = ConnectionLimits(body=1024 * 1024, connections=16, per_peer=8)
_SIGNATURE: Final = "x-hub-signature-256"

_log = structlog.get_logger(__name__)


class Webhook:
    """Serves the endpoint until it is closed.

    Args:
        settings: with an address for it.
        on_push: has the daemon fetch the repository; must not block.

    Raises:
        GitError: the secret's file cannot be read.
        StateError: a secret cannot be stored.
        ListenError: the address is taken.
    """

    def __init__(self, settings: Settings, *, on_push: Callable[[], None]) -> None:
        address, _, port = settings.git_webhook.rpartition(":")
        address = address.strip("[]")
        self._on_push = on_push
        self._secret = _load_secret(settings).encode()
        self._is_loopback = ipaddress.ip_address(address).is_loopback
        self._server = Server(LIMITS)
        app = build_application(Route(PATH, self._handle_push, methods=["POST"]))
        listener = self._server.listen(address, int(port), app)
        _log.info("webhook opened", address=address, port=listener.port, path=PATH)

    def close(self) -> None:
        """Stops serving."""
        self._server.close()

    async def _handle_push(self, request: Request) -> Response:
        if not self._has_credential(request) or not self._is_signed(request, await request.body()):
            peer = request.client.host if request.client is not None else ""
            _log.warning("webhook call refused", reason="it does not have the secret", peer=peer)
            return error_response(403)
        self._on_push()
        return ApiResponse({"status": "Success", "message": "The repository is fetched."}, status_code=202)

    def _has_credential(self, request: Request) -> bool:
        """Whether a call has a signature or the token; asked before its body is read."""
        if _SIGNATURE in request.headers:
            return True
        token = request.headers.get("x-gitlab-token", "") or bearer_token(request.headers)
        return self._is_loopback and hmac.compare_digest(token.encode(), self._secret)

    def _is_signed(self, request: Request, body: bytes) -> bool:
        """Whether the signature is of this body; also where there is none, but the token."""
        expected = f"sha256={hmac.new(self._secret, body, hashlib.sha256).hexdigest()}"
        signature = request.headers.get(_SIGNATURE, expected)
        return hmac.compare_digest(signature.encode(), expected.encode())


def _load_secret(settings: Settings) -> str:
    """Returns the configured secret, else one that is created once and stored for local hooks."""
    configured = read_secret(CREDENTIAL, settings.git_webhook_secret_file, VARIABLE)
    if configured or settings.git_folder is None:
        return configured or secrets.token_urlsafe(32)
    path = settings.git_folder / "webhook-secret"
    stored = load_or_create_token(path)
    _log.info("webhook secret stored", file=str(path))
    return stored
