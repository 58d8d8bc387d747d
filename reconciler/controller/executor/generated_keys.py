"""Keys that the daemon makes for a job: the ssh key pair of MPI, the CURVE certificate of Flux.

Upstream's controller makes them as Secrets, one a job; here :class:`GeneratedSecrets` keeps them. What
can go wrong: nothing but the machine's randomness.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from reconciler.plan.frameworks.flux import CERTIFICATE
from reconciler.plan.frameworks.mpi import PRIVATE_KEY, PUBLIC_KEY
from reconciler.plan.required_secrets import GeneratedSecret

#: ZeroMQ's base 85 (RFC 32/Z85): safe inside quotes, unlike Python's own.
_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def make_secret(secret: GeneratedSecret) -> Mapping[str, bytes]:
    """Data of a Secret that a plan needs made."""
    if secret.kind == "curve-certificate":
        return make_curve_certificate(secret.name)
    return make_ssh_keypair()


def make_ssh_keypair() -> dict[str, bytes]:
    """An ECDSA P-521 pair under upstream's keys: ``ssh-privatekey`` (PEM, SEC1), ``ssh-publickey``."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  (heavy, and seldom needed)
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP521R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {PRIVATE_KEY: private, PUBLIC_KEY: public + b"\n"}


def make_curve_certificate(name: str) -> dict[str, bytes]:
    """A CURVE certificate as ``flux keygen`` writes it, under upstream's key ``curve.cert``."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    key = X25519PrivateKey.generate()
    secret, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    text = (
        "#   ZeroMQ CURVE Secret Certificate\n\n"
        f'metadata\n    name = "{name}"\n'
        f'curve\n    public-key = "{_z85(public)}"\n    secret-key = "{_z85(secret)}"\n'
    )
    return {CERTIFICATE: text.encode()}


def _z85(data: bytes) -> str:
    """``data``, a multiple of four bytes, five characters for four."""
    text = []
    for (word,) in struct.iter_unpack(">I", data):
        text += [_Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(text)
