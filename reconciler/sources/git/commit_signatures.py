"""Verifies who signed a commit (``--git-verify``): ssh keys of allowed signers, and OpenPGP keys.

The signers are in files that the user names (``--git-allowed-signers``, ``--git-gpg-keys``) or in systemd's
credentials. OpenPGP keys are imported into a keyring of their own, so that no other key of the user counts.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reconciler.config.settings import Settings
from reconciler.sources.git.git_command import GitCommand
from reconciler.sources.git.git_credentials import ALLOWED_SIGNERS, GPG_KEYS, credential_file
from reconciler.sources.git.git_errors import GitError

_REASON = "VerificationFailed"


def verify_commit(settings: Settings, git: GitCommand, commit: str) -> str:
    """Verify that an allowed signer signed a fetched commit, where the settings demand it.

    Returns:
        What git says of the signature; "" where none is demanded.

    Raises:
        GitError: it is not signed, or by somebody else; or nobody is allowed to sign.
    """
    if not settings.git_verify:
        return ""
    signers = credential_file(ALLOWED_SIGNERS, settings.git_allowed_signers)
    keys = credential_file(GPG_KEYS, settings.git_gpg_keys)
    if signers is None and keys is None:
        raise GitError(
            "Signed commits are demanded (--git-verify), and nobody is allowed to sign.",
            reason=_REASON,
            remedy="Name the signers with --git-allowed-signers FILE or --git-gpg-keys FILE.",
        )
    with _keyring(keys) as keyring:
        return _verify(git, commit, signers=signers, keyring=keyring)


def _verify(git: GitCommand, commit: str, *, signers: Path | None, keyring: Path | None) -> str:
    configuration = dict(git.configuration)
    environment = dict(git.environment)
    if signers is not None:
        configuration["gpg.ssh.allowedSignersFile"] = str(signers)
    if keyring is not None:
        configuration["gpg.program"] = "gpg"
        environment["GNUPGHOME"] = str(keyring)
    verifying = replace(git, configuration=configuration, environment=environment)
    status, _, stderr = verifying.attempt("verify-commit", commit)
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if status != 0:
        words = "; ".join(lines) or "it has no signature"
        raise GitError(
            f"{git.location}: the commit {commit[:12]} is not signed by an allowed signer: {words[:300]}.",
            reason=_REASON,
            remedy="Sign it (git commit -S) with a key of --git-allowed-signers or --git-gpg-keys.",
        )
    return next((line for line in lines if "Good " in line), "signed")[:200]


@contextmanager
def _keyring(keys: Path | None) -> Iterator[Path | None]:
    """A folder for gpg that holds these keys and no others; None without keys.

    Raises:
        GitError: they cannot be read.
    """
    if keys is None:
        yield None
        return
    # gpg's agent has a socket there, whose path must be short.
    with tempfile.TemporaryDirectory(prefix="reconciler-gpg-", ignore_cleanup_errors=True) as folder:
        command = ["gpg", "--homedir", folder, "--batch", "--quiet", "--no-autostart"]
        try:
            done = subprocess.run(
                [*command, "--import", "--", str(keys)], check=False, capture_output=True, timeout=60
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise GitError(f"gpg cannot be used: {error}.", reason=_REASON) from None
        if done.returncode != 0:
            stderr = done.stderr.decode("utf-8", "replace").strip().replace("\n", "; ")[:300]
            raise GitError(f"{keys} holds no OpenPGP keys: {stderr}.", reason=_REASON)
        yield Path(folder)
