"""Generated keys are what ssh and Flux accept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.controller.executor.generated_secrets import (
    generate_curve_certificate,
    generate_secret,
    generate_ssh_key_pair,
)
from reconciler.plan.frameworks.required_secrets import GeneratedSecret


def test_the_pair_is_p521_and_belongs_together() -> None:
    pair = generate_ssh_key_pair()

    private = serialization.load_pem_private_key(pair["ssh-privatekey"], password=None)
    public = serialization.load_ssh_public_key(pair["ssh-publickey"])
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP521R1)
    assert private.public_key() == public
    assert pair["ssh-publickey"].endswith(b"\n")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_ssh_reads_the_private_key(tmp_path: Path) -> None:
    pair = generate_ssh_key_pair()
    key = tmp_path / "id_rsa"
    key.touch(mode=0o600)
    key.write_bytes(pair["ssh-privatekey"])

    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], check=True, capture_output=True).stdout

    assert shown.split() == pair["ssh-publickey"].split()


def test_every_secret_is_generated_anew() -> None:
    assert generate_ssh_key_pair() != generate_ssh_key_pair()
    assert generate_curve_certificate("a") != generate_curve_certificate("a")


def test_each_kind_of_secret_has_upstreams_keys() -> None:
    keys = generate_secret(GeneratedSecret(namespace="default", name="demo-mpi-ssh-auth", kind="ssh-keypair"))
    certificate = generate_secret(
        GeneratedSecret(namespace="default", name="demo-flux-curve", kind="curve-certificate")
    )

    assert set(keys) == {"ssh-privatekey", "ssh-publickey"}
    assert set(certificate) == {"curve.cert"}


def test_the_certificate_has_keys_of_forty_characters() -> None:
    lines = generate_curve_certificate("demo")["curve.cert"].decode().splitlines()

    keys = [line.partition(' = "')[2][:-1] for line in lines if "-key" in line]
    assert [len(key) for key in keys] == [40, 40]
