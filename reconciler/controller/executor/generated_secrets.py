"""Secrets that the daemon generates for a job: the ssh key pair of MPI, the CURVE certificate of Flux.

Upstream's controller creates them as Secrets, one a job; here they are files under
``<state>/secrets/<instance>``, generated once per job and kept until it is deleted. What can go wrong: a disk
that refuses.
"""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.plan.frameworks.flux import CERTIFICATE
from reconciler.plan.frameworks.mpi import PRIVATE_KEY, PUBLIC_KEY
from reconciler.plan.frameworks.required_secrets import GeneratedSecret
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.record import Record

#: ZeroMQ's base 85 (RFC 32/Z85): safe inside quotes, unlike Python's own.
_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


class GeneratedSecrets:
    """The generated secrets of an instance's jobs.

    Args:
        root: ``<state>/secrets/<instance>``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def ensure(self, record: Record, secret: GeneratedSecret) -> Mapping[str, bytes]:
        """The secret's data, generated and stored where the job has none yet."""
        path = self._root / record.namespace / record.name / f"{secret.name}.json"
        with self._lock:
            stored = read_if_exists(path)
            if stored is not None:
                return {k: v.encode("latin-1") for k, v in json.loads(stored).items()}
            data = generate_secret(secret)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps({k: v.decode("latin-1") for k, v in data.items()})
            write_atomically(path, text.encode(), mode=0o600)
            return data

    def remove(self, namespace: str, job: str) -> None:
        """Remove the secrets of a deleted job."""
        shutil.rmtree(self._root / namespace / job, ignore_errors=True)


def generate_secret(secret: GeneratedSecret) -> Mapping[str, bytes]:
    """New data for a Secret that a plan needs."""
    if secret.kind == "curve-certificate":
        return generate_curve_certificate(secret.name)
    return generate_ssh_key_pair()


def generate_ssh_key_pair() -> dict[str, bytes]:
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


def generate_curve_certificate(name: str) -> dict[str, bytes]:
    """A CURVE certificate as ``flux keygen`` writes it, under upstream's key ``curve.cert``."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    key = X25519PrivateKey.generate()
    secret, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    text = (
        "#   ZeroMQ CURVE Secret Certificate\n\n"
        f'metadata\n    name = "{name}"\n'
        f'curve\n    public-key = "{_encode_z85(public)}"\n    secret-key = "{_encode_z85(secret)}"\n'
    )
    return {CERTIFICATE: text.encode()}


def _encode_z85(data: bytes) -> str:
    """``data``, a multiple of four bytes, as five characters for four."""
    text = []
    for (word,) in struct.iter_unpack(">I", data):
        text += [_Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(text)
