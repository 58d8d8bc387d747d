"""Only commits that an allowed signer signed are accepted, where signatures are demanded."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.manifests import trainjob
from tests.support.repositories import Repository


class Signer:
    """An ssh key that signs, and the file that allows it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.key)], check=True
        )

    def sign(self, repository: Repository) -> None:
        repository.git("config", "gpg.format", "ssh")
        repository.git("config", "user.signingkey", f"{self.key}.pub")
        repository.signing = ("-S",)

    def allow(self, path: Path) -> Path:
        path.write_text(f"alice@example.com {self.key.with_suffix('.pub').read_text()}")
        return path


def test_only_commits_of_allowed_signers_are_accepted(synced, tmp_path):
    alice, mallory = Signer(tmp_path, "alice"), Signer(tmp_path, "mallory")
    alice.sign(synced.repository)
    synced.first = synced.repository.commit("signed")
    state = synced.make(git_verify=True, git_allowed_signers=alice.allow(tmp_path / "allowed")).sync()
    assert (state.ready, state.revision) == (True, synced.first)
    assert "alice@example.com" in state.signature

    synced.repository.put("specs/b.yaml", trainjob("b", "rt"))
    synced.repository.signing = ()
    synced.repository.commit("unsigned")
    synced.assert_rejected("VerificationFailed", "not signed by an allowed signer")

    mallory.sign(synced.repository)
    synced.repository.commit("signed by somebody else")
    synced.assert_rejected("VerificationFailed", "not signed by an allowed signer")

    alice.sign(synced.repository)
    good = synced.repository.commit("signed again")
    assert synced.sync().revision == good


def test_demanding_signatures_without_signers_is_a_configuration_error(synced):
    state = synced.make(git_verify=True).sync()

    assert (state.reason, state.revision) == ("VerificationFailed", "")
    assert "--git-allowed-signers" in state.message


def test_openpgp_signatures_count_where_their_key_is_given(synced, tmp_path):
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    # gpg's agent has its socket there, and a socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="gpg-", dir="/tmp"))
    environment = {**os.environ, "GNUPGHOME": str(home)}
    make = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        subprocess.run(
            [*make, "--quick-gen-key", "Bob <bob@example.com>", "ed25519", "sign"],
            env=environment, check=True, capture_output=True,
        )  # fmt: skip
        keys = tmp_path / "keys.asc"
        exported = subprocess.run(
            ["gpg", "--armor", "--export"], env=environment, check=True, capture_output=True
        )
        keys.write_bytes(exported.stdout)
        synced.repository.environment = {"GNUPGHOME": str(home)}
        synced.repository.git("config", "user.signingkey", "bob@example.com")
        synced.repository.signing = ("-S",)
        signed = synced.repository.commit("signed")

        assert synced.make(git_verify=True, git_gpg_keys=keys).sync().revision == signed

        other = Signer(tmp_path, "alice").allow(tmp_path / "allowed")
        state = synced.make(git_gpg_keys=None, git_allowed_signers=other).sync()
        assert state.reason == "VerificationFailed"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
