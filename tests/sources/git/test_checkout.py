"""What of an untrusted commit is written to disk: links, names, sizes, and nothing that runs."""

from __future__ import annotations

import stat
import subprocess
import time

import pytest

from reconciler.sources.git import checkout, mirror
from tests.support.manifests import trainjob


def test_links_out_of_the_checkout_are_not_made(synced, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("a-secret-of-this-machine: [")
    for name, target in {
        "absolute.yaml": str(secret),
        "climbing.yaml": "../../../../../../../../etc/passwd",
        "state.yaml": "../../../status/git-repository.status.yaml",
        "beside.yaml": "../outside.yaml",
    }.items():
        (synced.repository.work / "specs" / name).symlink_to(target)
    (synced.repository.work / "specs" / "folder").symlink_to("/etc")
    synced.repository.put("outside.yaml", trainjob("outside", "rt"))
    synced.repository.commit()

    state = synced.sync()

    assert state.ready, state.message
    assert synced.jobs() == {"a"}
    assert "absolute.yaml" in state.warning
    found = [p for p in synced.settings.specs.rglob("*") if p.is_symlink()]
    assert found == []
    assert "a-secret" not in f"{state}"


def test_links_within_the_checkout_are_followed(synced):
    (synced.repository.work / "specs" / "linked.yaml").symlink_to("team/b.yaml")
    (synced.repository.work / "specs" / "also").symlink_to("team")
    synced.repository.put("specs/team/b.yaml", trainjob("b", "rt"))
    synced.repository.commit()

    state = synced.sync()

    assert (state.ready, state.warning, synced.jobs()) == (True, "", {"a", "b"})


def test_a_link_that_is_as_large_as_a_file_is_not_read(synced, monkeypatch):
    big = synced.repository.git("hash-object", "-w", "--stdin", data="x" * 9_000_000)
    for name in ("big.yaml", "big"):
        synced.repository.git("update-index", "--add", "--cacheinfo", f"120000,{big},specs/{name}")
    synced.repository.git("commit", "--quiet", "-m", "Big")
    synced.repository.push()
    read: list[int] = []
    read_files = mirror.GitMirror.read_files

    def counted(self, files):
        read.extend(file.size for file in files)
        return read_files(self, files)

    monkeypatch.setattr(mirror.GitMirror, "read_files", counted)

    state = synced.sync()

    assert (state.ready, synced.jobs()) == (True, {"a"}), state.message
    assert max(read) < 9_000_000
    assert "big.yaml" in state.warning


def test_a_link_behind_a_link_leads_nowhere(synced):
    (synced.repository.work / "specs" / "up").symlink_to("..")
    (synced.repository.work / "specs" / "x.yaml").symlink_to("up/../../../etc/passwd")
    (synced.repository.work / "specs" / "y.yaml").symlink_to("x.yaml")
    synced.repository.commit()

    state = synced.sync()

    assert state.ready
    assert [p for p in synced.settings.specs.rglob("*") if p.is_symlink()] == []


def test_nothing_of_the_repository_is_executed(synced, tmp_path):
    """Hooks, filters, attributes, submodules, configuration: a checkout by git would obey some of them."""
    mark = tmp_path / "ran"
    command = f"touch {mark}"
    repository = synced.repository
    repository.put(".gitattributes", "*.yaml filter=evil diff=evil merge=evil ident text eol=crlf\n")
    repository.put(".gitconfig", f'[filter "evil"]\n\tsmudge = {command}\n[core]\n\tfsmonitor = {command}\n')
    repository.put(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "{command}"\n')
    repository.put("specs/.hidden.yaml", "a: [")
    repository.put("specs/b.yaml", trainjob("b", "rt"))
    repository.git("add", "--all")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{synced.first},specs/x.yaml")
    repository.git("commit", "--quiet", "-m", "evil")
    repository.push()
    for hook in ("post-checkout", "reference-transaction", "post-merge"):
        path = repository.bare / "hooks" / hook
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
    (repository.bare / "config").open("a").write(
        f"[uploadpack]\n\tpackObjectsHook = {command};\n[core]\n\tfsmonitor = {command}\n"
    )

    state = synced.sync()

    assert state.ready, state.message
    assert synced.jobs() == {"a", "b"}
    assert not mark.exists()
    assert b"\r\n" not in (synced.settings.specs / "b.yaml").read_bytes()
    written = [p for p in (synced.settings.git_folder / "worktrees").rglob("*") if p.is_file()]
    assert all(p.suffix == ".yaml" and not stat.S_IMODE(p.stat().st_mode) & 0o111 for p in written)


def test_a_tree_that_unfolds_to_billions_of_files_is_rejected(synced, monkeypatch):
    """Ten entries a level, all the same tree: a few kilobytes that no checkout ever ends."""
    monkeypatch.setattr(mirror, "MAX_ENTRIES", 20_000)
    synced.sync()
    repository = synced.repository
    blob = repository.git("hash-object", "-w", "--stdin", data="x")
    tree = repository.git("mktree", data="".join(f"100644 blob {blob}\tf{n}.yaml\n" for n in range(10)))
    for _ in range(9):
        tree = repository.git("mktree", data="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))
    top = repository.git("mktree", data=f"040000 tree {tree}\tspecs\n")
    commit = repository.git("commit-tree", top, "-m", "bomb")
    repository.git("push", "--quiet", "--force", str(repository.bare), f"{commit}:refs/heads/main")
    started = time.monotonic()

    synced.assert_rejected("TooLarge", "more than 20000 files")

    assert time.monotonic() - started < 60


def test_a_huge_manifest_is_rejected_before_it_is_written(synced):
    synced.sync()
    # Compresses to next to nothing.
    synced.repository.put("specs/big.yaml", "#" + " " * checkout.MAX_FILE_BYTES)
    synced.repository.commit()

    synced.assert_rejected("TooLarge", "big.yaml has")


@pytest.mark.parametrize("name", ["..", ".git", "a/../../b.yaml", "x\ny.yaml"])
def test_names_that_lead_elsewhere_are_not_written(synced, name):
    synced.sync()
    repository = synced.repository
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

    state = synced.sync()

    assert synced.jobs() == {"a"}
    outside = list((synced.settings.git_folder / "worktrees").rglob("b.yaml"))
    assert outside == []
    assert not (synced.settings.git_folder / "b.yaml").exists()
    if not state.ready:
        assert state.revision == synced.first


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
