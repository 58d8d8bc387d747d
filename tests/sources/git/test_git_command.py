"""Git runs with limits and with no configuration but this project's."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.sources.git import git_command
from reconciler.sources.git.git_command import GitCommand
from reconciler.sources.git.git_errors import GitError
from tests.support.manifests import trainjob


def test_a_git_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(git_command, "TIMEOUT", 0.3)
    git = GitCommand(folder=tmp_path, scheme="file", location="here")
    started = time.monotonic()

    with pytest.raises(GitError, match="longer than") as caught:
        # Waits for input on a pipe that nobody writes to.
        git.run("-c", "alias.hang=!sleep 60", "hang")

    assert (caught.value.reason, caught.value.transient) == ("TimedOut", True)
    assert time.monotonic() - started < 20


def test_a_git_that_is_too_old_is_not_used(synced, tmp_path, monkeypatch):
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo git version 2.30.2 || touch {tmp_path}/used\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")

    report = synced.sync()

    assert (report.ready, report.reason) == (False, "GitTooOld")
    assert "is version 2.30.2" in report.message
    assert not (tmp_path / "used").exists()


def test_the_users_own_configuration_of_git_is_not_obeyed(synced, tmp_path, monkeypatch):
    mark = tmp_path / "ran"
    (tmp_path / ".gitconfig").write_text(
        f'[url "ext::sh -c \\"touch {mark}\\""]\n\tinsteadOf = file://\n[core]\n\tsshCommand = touch {mark}\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {mark}")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {mark}")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {mark}")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert synced.sync().ready
    assert not mark.exists()


def test_no_other_protocol_is_used(synced, tmp_path):
    git = GitCommand(folder=tmp_path / "mirror", scheme="https", location="x")
    git.run("init", "--quiet", "--bare", str(tmp_path / "mirror"))

    for url in (f"ext::touch {tmp_path / 'ran'}", synced.repository.url, f"{tmp_path}", "git://127.0.0.1/x"):
        with pytest.raises(GitError, match="not allowed"):
            git.run("ls-remote", "--", url)
    assert not (tmp_path / "ran").exists()


def test_a_huge_pack_is_not_received(synced, monkeypatch):
    synced.sync()
    (synced.repository.work / "data.bin").write_bytes(os.urandom(4_000_000))
    synced.repository.put("specs/b.yaml", trainjob("b", "rt"))
    synced.repository.commit()
    monkeypatch.setattr(git_command, "MAX_FILE_BYTES", 1_000_000)

    synced.assert_rejected("TooLarge", "too large")
    assert list((synced.settings.git_folder / "mirror.git").rglob("tmp_*")) == []
