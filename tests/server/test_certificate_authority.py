"""The authority of one's own: kept, private, and strict clients take its certificates."""

from __future__ import annotations

import ssl
import urllib.request
from datetime import timedelta

import pytest

from reconciler.server import certificate_authority as authorities
from reconciler.server.certificate_authority import Authority
from reconciler.server.messages import as_json
from reconciler.server.routing import Route, Routes

ROUTES = Routes(Route("GET", "/", lambda _request: as_json({"hello": "there"})))


def ask(port: int, trusted: bytes, address: str = "127.0.0.1") -> int:
    context = ssl.create_default_context(cadata=trusted.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(f"https://{address}:{port}/", context=context, timeout=20) as answer:
        return answer.status


def test_a_strict_client_that_trusts_the_authority_trusts_the_listener(tmp_path, server):
    authority = Authority(tmp_path)

    listening = server.listen("127.0.0.1", 0, ROUTES, tls=authority.context("127.0.0.1"))

    assert ask(listening.port, authority.certificate) == 200


def test_a_certificate_is_for_its_own_address_only(tmp_path, server):
    authority = Authority(tmp_path)

    listening = server.listen("127.0.0.1", 0, ROUTES, tls=authority.context("127.0.0.2"))

    with pytest.raises(OSError, match="IP address mismatch"):
        ask(listening.port, authority.certificate)


def test_another_authority_is_not_trusted(tmp_path, server):
    authority, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")

    listening = server.listen("127.0.0.1", 0, ROUTES, tls=authority.context("127.0.0.1"))

    with pytest.raises(OSError, match="certificate verify failed"):
        ask(listening.port, other.certificate)


def test_the_authority_outlives_the_daemon_and_is_private(tmp_path):
    first = Authority(tmp_path)
    first.context("127.0.0.1")

    assert Authority(tmp_path).certificate == first.certificate
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "ca.crt": 0o600,
        "ca.key": 0o600,
    }


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
def test_a_broken_file_makes_a_new_authority(tmp_path, name):
    first = Authority(tmp_path)
    (tmp_path / name).write_text("half a fi")

    assert Authority(tmp_path).certificate != first.certificate


def test_an_authority_that_soon_runs_out_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(authorities, "AUTHORITY_LIFE", timedelta(days=300))
    first = Authority(tmp_path)

    assert Authority(tmp_path).certificate != first.certificate
