"""Keys are what ssh and Flux take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.controller.executor.generated_keys import (
    make_curve_certificate,
    make_secret,
    make_ssh_keypair,
)
from reconciler.plan import GeneratedSecret


def test_the_pair_is_p521_and_belongs_together() -> None:
    pair = make_ssh_keypair()

    private = serialization.load_pem_private_key(pair["ssh-privatekey"], password=None)
    public = serialization.load_ssh_public_key(pair["ssh-publickey"])
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP521R1)
    assert private.public_key() == public
    assert pair["ssh-publickey"].endswith(b"\n")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_ssh_reads_it(tmp_path: Path) -> None:
    pair = make_ssh_keypair()
    key = tmp_path / "id_rsa"
    key.touch(mode=0o600)
    key.write_bytes(pair["ssh-privatekey"])

    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], check=True, capture_output=True).stdout

    assert shown.split() == pair["ssh-publickey"].split()


def test_no_two_are_alike() -> None:
    assert make_ssh_keypair() != make_ssh_keypair()
    assert make_curve_certificate("a") != make_curve_certificate("a")


def test_each_kind_of_secret_is_made() -> None:
    keys = make_secret(GeneratedSecret(namespace="default", name="demo-mpi-ssh-auth", kind="ssh-keypair"))
    certificate = make_secret(
        GeneratedSecret(namespace="default", name="demo-flux-curve", kind="curve-certificate")
    )

    assert set(keys) == {"ssh-privatekey", "ssh-publickey"}
    assert set(certificate) == {"curve.cert"}


def test_the_certificate_has_keys_of_forty_characters() -> None:
    lines = make_curve_certificate("demo")["curve.cert"].decode().splitlines()

    keys = [line.partition(' = "')[2][:-1] for line in lines if "-key" in line]
    assert [len(key) for key in keys] == [40, 40]
