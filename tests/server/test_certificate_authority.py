"""The daemon's certificate authority: stored, private, and strict clients accept its certificates."""

from __future__ import annotations

import ssl
import urllib.request
from datetime import timedelta

import pytest
from starlette.routing import Route

from reconciler.server import certificate_authority
from reconciler.server.certificate_authority import CertificateAuthority
from reconciler.server.status_responses import ApiResponse, build_application

APP = build_application(Route("/", lambda _request: ApiResponse({"hello": "there"})))


def ask(port: int, trusted: bytes, address: str = "127.0.0.1") -> int:
    context = ssl.create_default_context(cadata=trusted.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(f"https://{address}:{port}/", context=context, timeout=20) as answer:
        return answer.status


def test_strict_client_that_trusts_the_authority_trusts_the_listener(tmp_path, server):
    authority = CertificateAuthority(tmp_path)

    listener = server.listen("127.0.0.1", 0, APP, tls=authority.server_context("127.0.0.1"))

    assert ask(listener.port, authority.certificate) == 200


def test_certificate_is_for_its_own_address_only(tmp_path, server):
    authority = CertificateAuthority(tmp_path)

    listener = server.listen("127.0.0.1", 0, APP, tls=authority.server_context("127.0.0.2"))

    with pytest.raises(OSError, match="IP address mismatch"):
        ask(listener.port, authority.certificate)


def test_another_authority_is_not_trusted(tmp_path, server):
    authority, other = CertificateAuthority(tmp_path / "a"), CertificateAuthority(tmp_path / "b")

    listener = server.listen("127.0.0.1", 0, APP, tls=authority.server_context("127.0.0.1"))

    with pytest.raises(OSError, match="certificate verify failed"):
        ask(listener.port, other.certificate)


def test_authority_is_stored_and_private(tmp_path):
    first = CertificateAuthority(tmp_path)
    first.server_context("127.0.0.1")

    assert CertificateAuthority(tmp_path).certificate == first.certificate
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "ca.crt": 0o600,
        "ca.key": 0o600,
    }


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
def test_broken_file_is_replaced_by_a_new_authority(tmp_path, name):
    first = CertificateAuthority(tmp_path)
    (tmp_path / name).write_text("half a fi")

    assert CertificateAuthority(tmp_path).certificate != first.certificate


def test_authority_that_expires_soon_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate_authority, "AUTHORITY_LIFETIME", timedelta(days=300))
    first = CertificateAuthority(tmp_path)

    assert CertificateAuthority(tmp_path).certificate != first.certificate
