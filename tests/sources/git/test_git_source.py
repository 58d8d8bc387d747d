"""A repository as a source: what is taken, what stays in force, and what a hostile commit gets."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.git import checkout, mirror
from reconciler.sources.git.git_command import Git, GitError
from reconciler.sources.git.git_source import GitSource
from tests.support.manifests import runtime, trainjob
from tests.support.repositories import Repository

RUNTIME = runtime("rt", "image")


class Follow:
    """A repository and somebody who follows it."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.repository.put("specs/rt.yaml", RUNTIME)
        self.repository.put("specs/a.yaml", trainjob("a", "rt"))
        self.first = self.repository.commit()
        self.settings = Settings(
            git=parse_url(self.repository.url), git_path="specs", state_dir=folder / "state", git_interval=1
        )
        self.source = self.make()

    def make(self, **changes) -> GitSource:
        if changes:
            self.settings = dataclasses.replace(self.settings, **changes)
        self.source = GitSource(self.settings, runtimes=lambda: (), clock=time.time)
        return self.source

    def look(self):
        return self.source.look()

    def jobs(self) -> set[str]:
        catalog = FolderSource(self.settings.specs).scan(patient=False)
        return {key.partition("/")[2] for key in catalog.jobs}


@pytest.fixture
def follow(tmp_path: Path) -> Follow:
    return Follow(tmp_path)


# --- following


def test_the_default_branch_is_put_in_force(follow):
    state = follow.look()

    assert (state.ready, state.reason, state.revision) == (True, "Succeeded", follow.first)
    assert state.ref == "refs/heads/main"
    assert follow.jobs() == {"a"}


def test_a_new_commit_takes_the_place_of_the_old_one_in_one_step(follow):
    follow.look()
    follow.repository.put("specs/b.yaml", trainjob("b", "rt"))
    follow.repository.remove("specs/a.yaml")
    commit = follow.repository.commit()

    state = follow.look()

    assert (state.revision, follow.jobs()) == (commit, {"b"})
    assert follow.settings.specs.parent.is_symlink()


def test_of_old_checkouts_only_the_last_stays(follow):
    for number in range(4):
        follow.repository.put(f"specs/{number}.yaml", trainjob(f"j{number}", "rt"))
        follow.repository.commit()
        follow.look()

    assert len(list((follow.settings.git_folder / "worktrees").iterdir())) == 2


def test_a_look_that_finds_nothing_new_writes_nothing(follow):
    follow.look()
    link = follow.settings.git_folder / "current"
    before = link.readlink()
    inode = follow.settings.specs.stat().st_ino

    follow.look()

    assert link.readlink() == before
    assert follow.settings.specs.stat().st_ino == inode


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_is_followed(follow, annotated):
    repository = follow.repository
    repository.git("tag", *(("-a", "-m", "release") if annotated else ()), "v1")
    repository.git("push", "--quiet", str(repository.bare), "v1")
    repository.put("specs/b.yaml", trainjob("b", "rt"))
    repository.commit()

    state = follow.make(git_ref="v1").look()

    assert (state.revision, state.ref) == (follow.first, "refs/tags/v1")
    assert follow.look().revision == follow.first


def test_a_commit_is_followed_though_the_branch_goes_on(follow):
    follow.repository.put("specs/b.yaml", trainjob("b", "rt"))
    follow.repository.commit()

    assert follow.make(git_ref=follow.first).look().revision == follow.first
    assert follow.jobs() == {"a"}


def test_a_rewritten_branch_is_followed(follow):
    follow.look()
    follow.repository.git("checkout", "--quiet", "--orphan", "other")
    follow.repository.put("specs/c.yaml", trainjob("c", "rt"))
    commit = follow.repository.commit()

    state = follow.look()

    assert (state.ready, state.revision) == (True, commit)
    assert "c" in follow.jobs()


def test_many_revisions_do_not_fill_the_disk(follow):
    follow.look()
    for number in range(mirror.MAX_PACKS + 3):
        follow.repository.put("specs/a.yaml", trainjob("a", "rt", f"command-{number}"))
        follow.repository.commit()
        assert follow.look().ready

    packs = follow.settings.git_folder / "mirror.git" / "objects" / "pack"
    assert len(list(packs.glob("*.pack"))) <= mirror.MAX_PACKS + 1


def test_a_restart_finds_the_revision_in_force_without_the_remote(follow):
    follow.look()
    follow.repository.bare.rename(follow.repository.folder / "gone")

    source = follow.make()

    assert source.state.revision == follow.first
    state = source.look()
    assert (state.ready, state.revision, follow.jobs()) == (False, follow.first, {"a"})


def test_a_broken_mirror_is_made_anew(follow):
    follow.look()
    shutil.rmtree(follow.settings.git_folder / "mirror.git" / "objects")

    assert follow.look().ready


# --- what leaves the last good revision in force


def refused(follow: Follow, reason: str, words: str) -> None:
    state = follow.look()

    assert (state.ready, state.reason, state.revision) == (False, reason, follow.first)
    assert words in state.message
    assert "stays in force" in state.message
    assert follow.jobs() == {"a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "specs/b.yaml:2: not valid YAML"),
        (
            "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: B_}\n",
            "specs/b.yaml:3",
        ),
    ],
)
def test_a_commit_with_a_bad_manifest_is_not_taken(follow, text, words):
    follow.look()
    follow.repository.put("specs/b.yaml", text)
    follow.repository.put("specs/c.yaml", trainjob("c", "rt"))
    bad = follow.repository.commit()

    refused(follow, "InvalidManifests", words)
    assert follow.source.state.attempted == bad
    assert follow.source.state.faults

    follow.repository.remove("specs/b.yaml")
    good = follow.repository.commit()
    state = follow.look()
    assert (state.ready, state.revision, state.faults) == (True, good, ())


def test_a_job_whose_runtime_is_missing_is_taken_and_waits(follow):
    follow.repository.put("specs/b.yaml", trainjob("b", "elsewhere"))

    assert follow.repository.commit() == follow.look().revision


def test_a_kustomization_in_a_commit_is_told_with_file_and_line(follow):
    follow.look()
    follow.repository.put(
        "specs/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: x-\n",
    )
    follow.repository.commit()

    refused(
        follow, "InvalidManifests", "specs/kustomization.yaml:3: namePrefix: a kustomization is not rendered"
    )


def test_an_emptied_folder_removes_nothing_unless_that_is_meant(follow):
    follow.look()
    follow.repository.remove("specs")
    follow.repository.put("specs/README.md", "nothing here")
    emptied = follow.repository.commit()

    refused(follow, "EmptyFolder", "--allow-empty")

    assert follow.make(allow_empty=True).look().revision == emptied
    assert follow.jobs() == set()


def test_a_path_that_vanished_removes_nothing_unless_that_is_meant(follow):
    follow.look()
    follow.repository.remove("specs")
    follow.repository.put("elsewhere/b.yaml", trainjob("b", "rt"))
    moved = follow.repository.commit()

    refused(follow, "PathNotFound", "has no folder specs")

    assert follow.make(allow_empty=True).look().revision == moved


def test_a_ref_that_vanished(follow):
    follow.repository.push("dev")
    follow.make(git_ref="dev").look()
    follow.repository.git("push", "--quiet", str(follow.repository.bare), ":refs/heads/dev")

    refused(follow, "RefNotFound", "no branch and no tag dev")


def test_a_repository_that_vanished(follow):
    follow.look()
    follow.repository.bare.rename(follow.repository.folder / "gone")

    refused(follow, "RepositoryNotFound", "there is no repository")

    (follow.repository.folder / "gone").rename(follow.repository.bare)
    assert follow.look().ready


def test_a_disk_that_cannot_be_written(follow):
    follow.look()
    follow.repository.put("specs/b.yaml", trainjob("b", "rt"))
    follow.repository.commit()
    worktrees = follow.settings.git_folder / "worktrees"
    aside = worktrees.rename(worktrees.with_name("aside"))
    worktrees.write_text("no folder")

    state = follow.look()
    assert (state.ready, state.reason) == (False, "StorageFailed")

    worktrees.unlink()
    aside.rename(worktrees)
    assert follow.look().ready


def test_a_git_that_hangs_is_ended(tmp_path):
    git = Git(folder=tmp_path, scheme="file", location="here", timeout=0.3)
    started = time.monotonic()

    with pytest.raises(GitError, match="longer than") as caught:
        # Waits for input on a pipe that nobody writes to.
        git.run("-c", "alias.hang=!sleep 60", "hang")

    assert (caught.value.reason, caught.value.passing) == ("TimedOut", True)
    assert time.monotonic() - started < 20


def test_a_git_that_ignores_what_keeps_it_in_bounds_is_not_used(follow, tmp_path, monkeypatch):
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo git version 2.30.2 || touch {tmp_path}/used\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")

    report = follow.look()

    assert (report.ready, report.reason) == (False, "GitTooOld")
    assert "is version 2.30.2" in report.message
    assert not (tmp_path / "used").exists()


# --- signatures


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


def test_only_commits_of_allowed_signers_are_taken(follow, tmp_path):
    alice, mallory = Signer(tmp_path, "alice"), Signer(tmp_path, "mallory")
    alice.sign(follow.repository)
    follow.first = follow.repository.commit("signed")
    state = follow.make(git_verify=True, git_allowed_signers=alice.allow(tmp_path / "allowed")).look()
    assert (state.ready, state.revision) == (True, follow.first)
    assert "alice@example.com" in state.signature

    follow.repository.put("specs/b.yaml", trainjob("b", "rt"))
    follow.repository.signing = ()
    follow.repository.commit("unsigned")
    refused(follow, "VerificationFailed", "not signed by an allowed signer")

    mallory.sign(follow.repository)
    follow.repository.commit("signed by somebody else")
    refused(follow, "VerificationFailed", "not signed by an allowed signer")

    alice.sign(follow.repository)
    good = follow.repository.commit("signed again")
    assert follow.look().revision == good


def test_signatures_that_nobody_may_give_are_a_mistake_of_configuration(follow):
    state = follow.make(git_verify=True).look()

    assert (state.reason, state.revision) == ("VerificationFailed", "")
    assert "--git-allowed-signers" in state.message


def test_openpgp_signatures_count_where_their_key_is_given(follow, tmp_path):
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
        follow.repository.environment = {"GNUPGHOME": str(home)}
        follow.repository.git("config", "user.signingkey", "bob@example.com")
        follow.repository.signing = ("-S",)
        signed = follow.repository.commit("signed")

        assert follow.make(git_verify=True, git_gpg_keys=keys).look().revision == signed

        other = Signer(tmp_path, "alice").allow(tmp_path / "allowed")
        state = follow.make(git_gpg_keys=None, git_allowed_signers=other).look()
        assert state.reason == "VerificationFailed"
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


# --- hostile commits


def test_links_out_of_the_checkout_are_not_made(follow, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("a-secret-of-this-machine: [")
    for name, target in {
        "absolute.yaml": str(secret),
        "climbing.yaml": "../../../../../../../../etc/passwd",
        "state.yaml": "../../../status/git-repository.status.yaml",
        "beside.yaml": "../outside.yaml",
    }.items():
        (follow.repository.work / "specs" / name).symlink_to(target)
    (follow.repository.work / "specs" / "folder").symlink_to("/etc")
    follow.repository.put("outside.yaml", trainjob("outside", "rt"))
    follow.repository.commit()

    state = follow.look()

    assert state.ready, state.message
    assert follow.jobs() == {"a"}
    assert "absolute.yaml" in state.warning
    found = [p for p in follow.settings.specs.rglob("*") if p.is_symlink()]
    assert found == []
    assert "a-secret" not in f"{state}"


def test_links_within_the_checkout_are_followed(follow):
    (follow.repository.work / "specs" / "linked.yaml").symlink_to("team/b.yaml")
    (follow.repository.work / "specs" / "also").symlink_to("team")
    follow.repository.put("specs/team/b.yaml", trainjob("b", "rt"))
    follow.repository.commit()

    state = follow.look()

    assert (state.ready, state.warning, follow.jobs()) == (True, "", {"a", "b"})


def test_a_link_that_is_as_large_as_a_file_is_not_read(follow, monkeypatch):
    big = follow.repository.git("hash-object", "-w", "--stdin", data="x" * 9_000_000)
    for name in ("big.yaml", "big"):
        follow.repository.git("update-index", "--add", "--cacheinfo", f"120000,{big},specs/{name}")
    follow.repository.git("commit", "--quiet", "-m", "Big")
    follow.repository.push()
    read: list[int] = []
    contents = mirror.GitMirror.contents

    def counted(self, files):
        read.extend(file.size for file in files)
        return contents(self, files)

    monkeypatch.setattr(mirror.GitMirror, "contents", counted)

    state = follow.look()

    assert (state.ready, follow.jobs()) == (True, {"a"}), state.message
    assert max(read) < 9_000_000
    assert "big.yaml" in state.warning


def test_a_link_behind_a_link_leads_nowhere(follow):
    (follow.repository.work / "specs" / "up").symlink_to("..")
    (follow.repository.work / "specs" / "x.yaml").symlink_to("up/../../../etc/passwd")
    (follow.repository.work / "specs" / "y.yaml").symlink_to("x.yaml")
    follow.repository.commit()

    state = follow.look()

    assert state.ready
    assert [p for p in follow.settings.specs.rglob("*") if p.is_symlink()] == []


def test_nothing_of_the_repository_is_run(follow, tmp_path):
    """Hooks, filters, attributes, submodules, configuration: a checkout by git would obey some of them."""
    mark = tmp_path / "ran"
    command = f"touch {mark}"
    repository = follow.repository
    repository.put(".gitattributes", "*.yaml filter=evil diff=evil merge=evil ident text eol=crlf\n")
    repository.put(".gitconfig", f'[filter "evil"]\n\tsmudge = {command}\n[core]\n\tfsmonitor = {command}\n')
    repository.put(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "{command}"\n')
    repository.put("specs/.hidden.yaml", "a: [")
    repository.put("specs/b.yaml", trainjob("b", "rt"))
    repository.git("add", "--all")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{follow.first},specs/x.yaml")
    repository.git("commit", "--quiet", "-m", "evil")
    repository.push()
    for hook in ("post-checkout", "reference-transaction", "post-merge"):
        path = repository.bare / "hooks" / hook
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
    (repository.bare / "config").open("a").write(
        f"[uploadpack]\n\tpackObjectsHook = {command};\n[core]\n\tfsmonitor = {command}\n"
    )

    state = follow.look()

    assert state.ready, state.message
    assert follow.jobs() == {"a", "b"}
    assert not mark.exists()
    assert b"\r\n" not in (follow.settings.specs / "b.yaml").read_bytes()
    written = [p for p in (follow.settings.git_folder / "worktrees").rglob("*") if p.is_file()]
    assert all(p.suffix == ".yaml" and not stat.S_IMODE(p.stat().st_mode) & 0o111 for p in written)


def test_the_users_own_configuration_of_git_is_not_obeyed(follow, tmp_path, monkeypatch):
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

    assert follow.look().ready
    assert not mark.exists()


def test_no_other_protocol_is_spoken(follow, tmp_path):
    git = Git(folder=tmp_path / "mirror", scheme="https", location="x")
    git.run("init", "--quiet", "--bare", str(tmp_path / "mirror"))

    for url in (f"ext::touch {tmp_path / 'ran'}", follow.repository.url, f"{tmp_path}", "git://127.0.0.1/x"):
        with pytest.raises(GitError, match="not allowed"):
            git.run("ls-remote", "--", url)
    assert not (tmp_path / "ran").exists()


def test_a_tree_of_trees_that_unfolds_to_billions_of_files_is_refused(follow, monkeypatch):
    """Ten entries a level, all the same tree: a few kilobytes that no checkout ever ends."""
    monkeypatch.setattr(mirror, "MAX_ENTRIES", 20_000)
    follow.look()
    repository = follow.repository
    blob = repository.git("hash-object", "-w", "--stdin", data="x")
    tree = repository.git("mktree", data="".join(f"100644 blob {blob}\tf{n}.yaml\n" for n in range(10)))
    for _ in range(9):
        tree = repository.git("mktree", data="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))
    top = repository.git("mktree", data=f"040000 tree {tree}\tspecs\n")
    commit = repository.git("commit-tree", top, "-m", "bomb")
    repository.git("push", "--quiet", "--force", str(repository.bare), f"{commit}:refs/heads/main")
    started = time.monotonic()

    refused(follow, "TooLarge", "more than 20000 files")

    assert time.monotonic() - started < 60


def test_a_huge_manifest_is_refused_before_it_is_written(follow):
    follow.look()
    # Compresses to next to nothing.
    follow.repository.put("specs/big.yaml", "#" + " " * checkout.MAX_FILE)
    follow.repository.commit()

    refused(follow, "TooLarge", "big.yaml has")


def test_a_huge_pack_is_cut_off(follow, monkeypatch):
    follow.look()
    (follow.repository.work / "data.bin").write_bytes(os.urandom(4_000_000))
    follow.repository.put("specs/b.yaml", trainjob("b", "rt"))
    follow.repository.commit()
    git = follow.source._git
    monkeypatch.setattr(
        follow.source, "_git", lambda given: dataclasses.replace(git(given), max_file=1_000_000)
    )

    refused(follow, "TooLarge", "too large")
    assert list((follow.settings.git_folder / "mirror.git").rglob("tmp_*")) == []


@pytest.mark.parametrize("name", ["..", ".git", "a/../../b.yaml", "x\ny.yaml"])
def test_names_that_lead_elsewhere_are_not_written(follow, name):
    follow.look()
    repository = follow.repository
    blob = repository.git("hash-object", "-w", "--stdin", data="a: b\n")
    good = repository.git("rev-parse", "HEAD:specs")
    inner = f"100644 blob {blob}\tb.yaml\0"
    nested = repository.git("mktree", "-z", data=inner)
    entry = f"040000 tree {nested}\t{name}\0" if "/" not in name else f"100644 blob {blob}\t{name}\0"
    if name.endswith("y.yaml"):
        entry = f"100644 blob {blob}\t{name}\0"
    listing = repository.git("ls-tree", "-z", good)
    raw = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
        cwd=repository.work, input=_tree(f"{entry}{listing}"), capture_output=True, check=True,
    )  # fmt: skip
    evil = raw.stdout.decode().strip()
    top = repository.git("mktree", data=f"040000 tree {evil}\tspecs\n")
    commit = repository.git("commit-tree", top, "-m", "evil")
    # Past the checks that git itself would make while pushing.
    (repository.bare / "objects" / "info").mkdir(exist_ok=True)
    (repository.bare / "objects" / "info" / "alternates").write_text(f"{repository.work}/.git/objects\n")
    (repository.bare / "refs" / "heads" / "main").write_text(f"{commit}\n")

    state = follow.look()

    assert follow.jobs() == {"a"}
    outside = list((follow.settings.git_folder / "worktrees").rglob("b.yaml"))
    assert outside == []
    assert not (follow.settings.git_folder / "b.yaml").exists()
    if not state.ready:
        assert state.revision == follow.first


def _tree(listing: str) -> bytes:
    """A tree object's bytes, in git's order, whatever the names."""
    entries = []
    for line in listing.split("\0"):
        if line:
            facts, _, name = line.partition("\t")
            mode, kind, digest = facts.split()
            key = name + ("/" if kind == "tree" else "")
            entries.append((key, f"{mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(digest)))
    return b"".join(data for _, data in sorted(entries))
