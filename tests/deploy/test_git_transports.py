"""Repositories behind HTTP and ssh: credentials let us in and leave no trace, and servers fail and come back."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings
from reconciler.sources.git.git_source import GitSource, RepositoryState
from tests.deploy.git_fixtures import Follow, _engines, follow, repository
from tests.support.flags import Flags
from tests.support.git_servers import GitHttp, GitSsh, ServerMissing, command_lines, traces
from tests.support.manifests import condition, runtime, shell
from tests.support.repositories import Followed, Repository
from tests.support.workspaces import eventually, unique

__all__ = ["_engines", "follow", "repository"]

TOKEN = "t0k3n-that-must-not-be-seen/+"


@pytest.fixture
def http(repository: Repository) -> Iterator[GitHttp]:
    with GitHttp(repository.folder, token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitSsh]:
    try:
        with GitSsh(tmp_path_factory.mktemp("ssh") / "server").running() as server:
            yield server
    except ServerMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def commit(repository: Repository) -> str:
    repository.put("rt.yaml", runtime("rt", "image"))
    return repository.commit()


def look(url: str, folder: Path, **settings: object) -> RepositoryState:
    chosen = dataclasses.replace(Settings(git=parse_url(url), state_dir=folder / "state"), **settings)
    state = GitSource(chosen, runtimes=lambda: (), clock=time.time).sync()
    assert TOKEN not in f"{state}"
    assert traces(folder / "state", TOKEN) == []
    return state


def reason(workspace: Followed, job: str) -> str:
    return str(condition(workspace.status(job), "SourceReady").get("reason"))


# --- http


def test_a_daemon_keeps_its_token_to_itself_and_outlives_the_server(
    repository: Repository, http: GitHttp, follow: Follow, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    seen = bytearray()
    http.on_request = lambda: seen.extend(command_lines())
    # The file wins over the variable, which must not reach the job either.
    workspace = follow(http.url(), GIT_TOKEN_FILE=str(tmp_path / "token"), GIT_TOKEN=TOKEN)
    job = unique("token")
    flags = Flags(workspace)
    repository.put("specs/rt.yaml", flags.runtime())
    repository.put("specs/j.yaml", shell(job, "rt", f"env; {flags.wait()}"))
    first = repository.commit()

    with workspace.daemon() as daemon:
        workspace.until_phase(job, "Running")
        assert workspace.status(job)["source"]["repository"] == http.url()

        http.stop()
        eventually(lambda: reason(workspace, job) == "FetchFailed", "the network failure is told")
        assert workspace.phase(job) == "Running"
        assert workspace.revision(job) == first

        repository.put(
            "specs/note.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}}
        )
        second = repository.commit()
        http.start()
        eventually(lambda: workspace.revision(job) == second, "the server is asked again")
        assert reason(workspace, job) == "Succeeded"

        (tmp_path / "token").write_text("expired-token\n")
        eventually(lambda: reason(workspace, job) == "AuthenticationFailed", "the refusal is told")
        flags.raise_flag()
        workspace.until_phase(job, "Complete")

        assert TOKEN not in daemon.text()
    assert workspace.cli("get", "source", "-o", "yaml").returncode == 0
    assert b"git-remote-http" in seen, "git was seen at work"
    assert TOKEN.encode() not in seen
    assert traces(workspace.root, TOKEN) == []


def test_a_server_that_hangs_does_not_keep_the_daemon_from_ending(
    repository: Repository, http: GitHttp, follow: Follow, commit: str
) -> None:
    asked, released = threading.Event(), threading.Event()
    http.on_request = lambda: (asked.set(), released.wait(120))
    workspace = follow(http.url(), GIT_TOKEN=TOKEN)
    try:
        with workspace.daemon() as daemon:
            assert asked.wait(60)
            started = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - started < 15
        assert http.url().encode() not in command_lines()
    finally:
        http.on_request = lambda: None
        released.set()


def test_a_token_is_found_where_it_may_be(
    http: GitHttp, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = look(http.url(), tmp_path / "none")
    assert (refused.reason, "--git-token-file" in refused.message) == ("AuthenticationFailed", True)

    assert look(http.url(userinfo="me:t0k3n-that-must-not-be-seen%2F+"), tmp_path / "url").revision == commit

    monkeypatch.setenv("RECONCILER_GIT_TOKEN", TOKEN)
    assert look(http.url(), tmp_path / "variable").revision == commit
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "git-token").write_text("\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "blank"))
    assert look(http.url(), tmp_path / "beside-a-blank-one").revision == commit
    monkeypatch.setenv("RECONCILER_GIT_TOKEN", "wrong")

    (tmp_path / "credentials").mkdir()
    for name in ("git-ssh-key", "git-known-hosts", "git-allowed-signers", "git-gpg-keys"):
        # As the units give where the user has none.
        (tmp_path / "credentials" / name).write_text("\n")
    (tmp_path / "credentials" / "git-token").write_text(TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert look(http.url(), tmp_path / "systemd", git_user="deployer").revision == commit


def test_a_token_file_that_is_not_there_or_holds_more_is_said(
    http: GitHttp, commit: str, tmp_path: Path
) -> None:
    missing = look(http.url(), tmp_path, git_token_file=tmp_path / "missing")
    (tmp_path / "two").write_text(f"{TOKEN}\n{TOKEN}\n")
    double = look(http.url(), tmp_path, git_token_file=tmp_path / "two")

    assert (missing.reason, "is not there" in missing.message) == ("CredentialsMissing", True)
    assert (double.reason, "must hold one line" in double.message) == ("CredentialsMissing", True)


def test_a_token_goes_nowhere_else(http: GitHttp, commit: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with GitHttp(http.folder) as elsewhere:
        http.redirect = f"http://127.0.0.1:{elsewhere.port}"
        moved = look(http.url(), tmp_path, git_token_file=tmp_path / "token")
    clear = look("http://git.example.com/x.git", tmp_path, git_token_file=tmp_path / "token")

    assert (moved.reason, elsewhere.seen) == ("Redirected", [])
    assert (clear.reason, "Use https" in clear.message) == ("AuthenticationFailed", True)


def test_a_server_that_answers_nonsense_is_told(tmp_path: Path, repository: Repository, commit: str) -> None:
    with GitHttp(repository.folder) as server:
        assert look(server.url("nothing.git"), tmp_path).reason == "RepositoryNotFound"
        assert look(server.url(), tmp_path).revision == commit
    assert look(server.url(), tmp_path).reason == "FetchFailed"


# --- ssh


def test_a_key_lets_us_in(ssh: GitSsh, repository: Repository, commit: str, tmp_path: Path) -> None:
    url = ssh.url(repository.bare)

    state = look(url, tmp_path, git_ssh_key=ssh.key, git_known_hosts=ssh.known_hosts)

    assert (state.revision, state.message) == (commit, state.message)


def test_keys_are_found_among_systemds_credentials(
    ssh: GitSsh, repository: Repository, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "git-ssh-key").write_text(ssh.key.read_text())
    (credentials / "git-ssh-key").chmod(0o400)
    (credentials / "git-known-hosts").write_text(ssh.known_hosts.read_text())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))

    assert look(ssh.url(repository.bare), tmp_path).revision == commit


def test_an_unknown_host_and_a_wrong_key_are_told_apart(
    ssh: GitSsh, repository: Repository, commit: str, tmp_path: Path
) -> None:
    (tmp_path / "nobody").write_text("")
    url = ssh.url(repository.bare)

    unknown = look(url, tmp_path, git_ssh_key=ssh.key, git_known_hosts=tmp_path / "nobody")
    stranger = ssh.folder / "stranger"
    wrong = look(url, tmp_path, git_ssh_key=stranger, git_known_hosts=ssh.known_hosts)
    open_key = tmp_path / "open"
    open_key.write_text(ssh.key.read_text())
    open_key.chmod(0o644)
    shown = look(url, tmp_path, git_ssh_key=open_key, git_known_hosts=ssh.known_hosts)

    assert (unknown.reason, "ssh-keyscan" in unknown.message) == ("HostKeyUnknown", True)
    assert wrong.reason == "AuthenticationFailed"
    assert (shown.reason, "chmod 600" in shown.message) == ("AuthenticationFailed", True)


def test_a_path_with_orders_for_the_shell_is_only_a_path(ssh: GitSsh, tmp_path: Path, commit: str) -> None:
    mark = tmp_path / "ran"
    url = ssh.url(Path(f"/nowhere';touch${{IFS}}{mark};'"))

    state = look(url, tmp_path, git_ssh_key=ssh.key, git_known_hosts=ssh.known_hosts)

    assert not state.ready
    assert not mark.exists()
