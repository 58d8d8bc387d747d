"""A certificate authority of the daemon's own, and certificates for the addresses that it listens at.

The authority is stored (0600) and outlives the daemon: a client that has its certificate trusts the next
daemon too. Server certificates are issued as listeners open, and again before they expire. What can go wrong:
the state folder cannot be written; the clock is wrong by more than a day.
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
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
#: An authority with less time left is replaced.
MIN_AUTHORITY_TIME_LEFT: Final = timedelta(days=365)
CERTIFICATE_LIFETIME: Final = timedelta(days=397)
#: Clocks of containers are the host's, but the host's may be set back.
BACKDATING: Final = timedelta(days=1)


class CertificateAuthority:
    """See the module.

    Args:
        folder: where it is stored: ``ca.crt``, ``ca.key``, ``server.pem`` for the moment of loading it.

    Raises:
        StateError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._certificate, self._key = self._load() or self._create()

    @property
    def certificate(self) -> bytes:
        """What clients have to trust, as PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415  (heavy)

        return self._certificate.public_bytes(Encoding.PEM)

    def server_context(self, address: str) -> ssl.SSLContext:
        """Returns the context of a listener at this IP address: TLS 1.2 or newer, with a certificate for it.

        Raises:
            StateError: the folder cannot be written.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        self.renew(context, address)
        return context

    def renew(self, context: ssl.SSLContext, address: str) -> None:
        """Loads a new certificate for this address into a context; open connections keep the old one.

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
        """Returns a new key and a certificate for it, as PEM."""
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address))]
        issuer = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
        certificate = (
            _certificate_builder(f"{NAME} at {address}", key.public_key(), CERTIFICATE_LIFETIME, is_ca=False)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _private_pem(key) + certificate.public_bytes(Encoding.PEM)

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        """Returns the stored authority, if it is complete and has time left."""
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

        certificate_pem, key_pem = (read_if_exists(self._folder / name) for name in ("ca.crt", "ca.key"))
        if certificate_pem is None or key_pem is None:
            return None
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = serialization.load_pem_private_key(key_pem, None)
        except ValueError:
            return None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            return None
        left = certificate.not_valid_after_utc - datetime.now(tz=UTC)
        return (certificate, key) if left > MIN_AUTHORITY_TIME_LEFT else None

    def _create(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        key = ec.generate_private_key(ec.SECP256R1())
        name = f"{NAME} authority"
        certificate = (
            _certificate_builder(name, key.public_key(), AUTHORITY_LIFETIME, is_ca=True)
            .issuer_name(_x509_name(name))
            .sign(key, hashes.SHA256())
        )
        # The key first: a certificate without its key would be handed out and then replaced.
        write_atomically(self._folder / "ca.key", _private_pem(key), mode=0o600)
        write_atomically(self._folder / "ca.crt", certificate.public_bytes(Encoding.PEM), mode=0o600)
        return certificate, key


def _certificate_builder(
    name: str, key: ec.EllipticCurvePublicKey, lifetime: timedelta, *, is_ca: bool
) -> x509.CertificateBuilder:
    from cryptography import x509  # noqa: PLC0415

    now = datetime.now(tz=UTC)
    # In full: Python 3.13 and newer check certificates strictly.
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None)
    return (
        x509.CertificateBuilder()
        .subject_name(_x509_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
    )


def _x509_name(text: str) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text[:64])])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
