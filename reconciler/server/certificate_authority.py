"""An authority of one's own, and certificates for the addresses that the daemon listens at.

The authority is kept (0600) and outlives the daemon: who was given its certificate goes on trusting the next
daemon's. Certificates are made as listeners open, and again before they run out. What can go wrong: the state
folder cannot be written; the clock is wrong by more than a day.
"""

from __future__ import annotations

import ipaddress
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.state.atomic_files import read_if_exists, write_atomically

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

NAME: Final = "reconciler"
#: The authority's life, and how much of it has to be left for it to be used on.
AUTHORITY_LIFE: Final = timedelta(days=3650)
AUTHORITY_LEFT: Final = timedelta(days=365)
CERTIFICATE_LIFE: Final = timedelta(days=397)
#: Clocks of containers are the host's, but the host's may be set back.
BACKDATED: Final = timedelta(days=1)


class Authority:
    """See the module.

    Args:
        folder: where it is kept: ``ca.crt``, ``ca.key``, ``server.pem`` for the moment of loading it.

    Raises:
        StateError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._certificate, self._key = self._kept() or self._make()

    @property
    def certificate(self) -> bytes:
        """What clients have to trust, as PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415  (heavy)

        return self._certificate.public_bytes(Encoding.PEM)

    def context(self, address: str) -> ssl.SSLContext:
        """For a listener at this IP address: TLS 1.2 or newer, with a certificate that names it.

        Raises:
            StateError: the folder cannot be written.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        self.load(context, address)
        return context

    def load(self, context: ssl.SSLContext, address: str) -> None:
        """Give a context a new certificate for this address; connections that are open keep the old one.

        Raises:
            StateError: the folder cannot be written.
        """
        path = self._folder / "server.pem"
        # Python's ssl reads certificates from files only.
        with self._lock:
            write_atomically(path, self._issue(address), mode=0o600, durable=False)
            context.load_cert_chain(path)
            path.unlink()

    def _issue(self, address: str) -> bytes:
        """A new key and a certificate for it, as PEM."""
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        made = (
            _builder(f"{NAME} at {address}", key.public_key(), CERTIFICATE_LIFE)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_identifier(self._certificate), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _private(key) + made.public_bytes(Encoding.PEM)

    def _kept(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        """The stored authority, if it is whole and has time left."""
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

        certificate, key = (read_if_exists(self._folder / name) for name in ("ca.crt", "ca.key"))
        if certificate is None or key is None:
            return None
        try:
            loaded = x509.load_pem_x509_certificate(certificate)
            secret = serialization.load_pem_private_key(key, None)
        except ValueError:
            return None
        if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != loaded.public_key():
            return None
        left = loaded.not_valid_after_utc - datetime.now(tz=UTC)
        return (loaded, secret) if left > AUTHORITY_LEFT else None

    def _make(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(f"{NAME} authority", key.public_key(), AUTHORITY_LIFE)
        made = (
            builder.issuer_name(_name(f"{NAME} authority"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        # The key first: a certificate without its key would be handed out and then replaced.
        write_atomically(self._folder / "ca.key", _private(key), mode=0o600)
        write_atomically(self._folder / "ca.crt", made.public_bytes(Encoding.PEM), mode=0o600)
        return made, key


def _name(text: str) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])


def _builder(name: str, key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
    from cryptography import x509  # noqa: PLC0415

    now = datetime.now(tz=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    """Said in full: Python 3.13 and newer check certificates strictly."""
    from cryptography import x509  # noqa: PLC0415

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509  # noqa: PLC0415

    known = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
