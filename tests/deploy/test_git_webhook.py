"""The webhook: a call with the secret makes the daemon sync at once, no other call does."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import stat
from pathlib import Path

import pytest

from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings
from reconciler.controller.daemon.webhook import Webhook
from tests.deploy.git_fixtures import Follow, _engines, follow, repository
from tests.support.manifests import runtime, shell
from tests.support.repositories import Followed, Repository
from tests.support.workspaces import Daemon, eventually, unique

__all__ = ["_engines", "follow", "repository"]

SECRET = "a-secret-of-the-webhook"


def port_of(daemon: Daemon) -> int:
    def look() -> int:
        lines = [json.loads(line) for line in daemon.text().splitlines() if line.startswith("{")]
        return next((line["port"] for line in lines if line["event"] == "webhook opened"), 0)

    return eventually(look, "the webhook is open")


def call(
    port: int,
    headers: dict[str, str],
    body: bytes = b"{}",
    *,
    method: str = "POST",
    path: str = "/hook",
    host: str = "127.0.0.1",
) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def push(repository: Repository) -> str:
    """Commits another job and returns its name."""
    job = unique("pushed")
    repository.put("specs/rt.yaml", runtime("rt", "unused"))
    repository.put(f"specs/{job}.yaml", shell(job, "rt", "true"))
    repository.commit()
    return job


def test_call_with_the_secret_syncs_at_once_and_others_do_not(
    repository: Repository, follow: Follow, tmp_path
) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    workspace = follow(
        repository.url, INTERVAL="1h", GIT_WEBHOOK="127.0.0.1:0", GIT_WEBHOOK_SECRET_FILE=f"{tmp_path}/secret"
    )
    first = push(repository)
    body = json.dumps({"ref": "refs/heads/main"}).encode()
    with workspace.daemon() as daemon:
        port = port_of(daemon)
        workspace.until_phase(first, "Complete")
        second = push(repository)
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer "},
            {"X-Gitlab-Token": "wrong"},
            {"X-Hub-Signature-256": signature(body, "wrong")},
            {"X-Hub-Signature-256": signature(b"another body")},
            {"X-Hub-Signature-256": "", "Authorization": f"Bearer {SECRET}"},
            {"X-Hub-Signature-256": "sha256="},
        ):
            assert call(port, headers, body) == 403, headers
        assert call(port, {"Authorization": f"Bearer {SECRET}"}, method="GET") == 404
        assert call(port, {"Authorization": f"Bearer {SECRET}"}, path="/other") == 404
        assert workspace.source()["attemptedRevision"] == workspace.revision(first)

        for headers in (
            {"X-Hub-Signature-256": signature(body)},
            {"X-Gitlab-Token": SECRET},
            {"Authorization": f"Bearer {SECRET}"},
        ):
            assert call(port, headers, body) == 202
            workspace.until_phase(second, "Complete")
            second = push(repository)
        assert SECRET not in daemon.text()


def test_missing_secret_is_created_and_stored(repository: Repository, follow: Follow) -> None:
    workspace = follow(repository.url, INTERVAL="1h", GIT_WEBHOOK="127.0.0.1:0")
    push(repository)
    with workspace.daemon() as daemon:
        port = port_of(daemon)
        path = workspace.place / "webhook-secret"
        secret = path.read_text().strip()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert call(port, {"Authorization": f"Bearer {secret}"}) == 202
        assert secret not in daemon.text()


def test_only_signatures_count_beyond_this_machine(tmp_path: Path) -> None:
    """A token would cross the network in the clear; a signature reveals nothing."""
    address = own_address()
    with socket.socket() as free:
        free.bind((address, 0))
        port = free.getsockname()[1]
    (tmp_path / "secret").write_text(SECRET)
    settings = Settings(
        git=parse_url("/nowhere"),
        state_dir=tmp_path,
        git_webhook=f"{address}:{port}",
        git_webhook_secret_file=tmp_path / "secret",
    )
    syncs: list[int] = []
    hook = Webhook(settings, on_push=lambda: syncs.append(1))
    try:
        assert call(port, {"Authorization": f"Bearer {SECRET}"}, host=address) == 403
        assert call(port, {"X-Gitlab-Token": SECRET}, host=address) == 403
        assert call(port, {"X-Hub-Signature-256": signature(b"wrong")}, host=address) == 403
        assert syncs == []
        assert call(port, {"X-Hub-Signature-256": signature(b"{}")}, host=address) == 202
        assert syncs == [1]
    finally:
        hook.close()


def own_address() -> str:
    """An address of this machine that others can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("address", ["0.0.0.0:9444", "localhost:9444", "127.0.0.1", "127.0.0.1:99999"])
def test_address_of_no_single_host_is_refused(repository: Repository, follow: Follow, address: str) -> None:
    workspace: Followed = follow(repository.url, GIT_WEBHOOK=address)

    done = workspace.cli("run", "--once")

    assert (done.returncode, "RECONCILER_GIT_WEBHOOK" in done.stderr) == (2, True)
    workspace.cleaned = True
