"""Syncing with a repository: which commit is put in force, and what leaves the last good one there."""

from __future__ import annotations

import shutil

import pytest

from reconciler.sources.git import mirror
from tests.support.manifests import trainjob


def test_the_default_branch_is_put_in_force(synced):
    state = synced.sync()

    assert (state.ready, state.reason, state.revision) == (True, "Succeeded", synced.first)
    assert state.ref == "refs/heads/main"
    assert synced.jobs() == {"a"}


def test_a_new_commit_takes_the_place_of_the_old_one_in_one_step(synced):
    synced.sync()
    synced.repository.put("specs/b.yaml", trainjob("b", "rt"))
    synced.repository.remove("specs/a.yaml")
    commit = synced.repository.commit()

    state = synced.sync()

    assert (state.revision, synced.jobs()) == (commit, {"b"})
    assert synced.settings.specs.parent.is_symlink()


def test_of_old_checkouts_only_the_last_stays(synced):
    for number in range(4):
        synced.repository.put(f"specs/{number}.yaml", trainjob(f"j{number}", "rt"))
        synced.repository.commit()
        synced.sync()

    assert len(list((synced.settings.git_folder / "worktrees").iterdir())) == 2


def test_a_sync_that_finds_nothing_new_writes_nothing(synced):
    synced.sync()
    link = synced.settings.git_folder / "current"
    before = link.readlink()
    inode = synced.settings.specs.stat().st_ino

    synced.sync()

    assert link.readlink() == before
    assert synced.settings.specs.stat().st_ino == inode


@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_is_followed(synced, annotated):
    repository = synced.repository
    repository.git("tag", *(("-a", "-m", "release") if annotated else ()), "v1")
    repository.git("push", "--quiet", str(repository.bare), "v1")
    repository.put("specs/b.yaml", trainjob("b", "rt"))
    repository.commit()

    state = synced.make(git_ref="v1").sync()

    assert (state.revision, state.ref) == (synced.first, "refs/tags/v1")
    assert synced.sync().revision == synced.first


def test_a_commit_is_followed_though_the_branch_goes_on(synced):
    synced.repository.put("specs/b.yaml", trainjob("b", "rt"))
    synced.repository.commit()

    assert synced.make(git_ref=synced.first).sync().revision == synced.first
    assert synced.jobs() == {"a"}


def test_a_rewritten_branch_is_followed(synced):
    synced.sync()
    synced.repository.git("checkout", "--quiet", "--orphan", "other")
    synced.repository.put("specs/c.yaml", trainjob("c", "rt"))
    commit = synced.repository.commit()

    state = synced.sync()

    assert (state.ready, state.revision) == (True, commit)
    assert "c" in synced.jobs()


def test_many_revisions_do_not_fill_the_disk(synced):
    synced.sync()
    for number in range(mirror.MAX_PACKS + 3):
        synced.repository.put("specs/a.yaml", trainjob("a", "rt", f"command-{number}"))
        synced.repository.commit()
        assert synced.sync().ready

    packs = synced.settings.git_folder / "mirror.git" / "objects" / "pack"
    assert len(list(packs.glob("*.pack"))) <= mirror.MAX_PACKS + 1


def test_a_restart_finds_the_revision_in_force_without_the_remote(synced):
    synced.sync()
    synced.repository.bare.rename(synced.repository.folder / "gone")

    source = synced.make()

    assert source.state.revision == synced.first
    state = source.sync()
    assert (state.ready, state.revision, synced.jobs()) == (False, synced.first, {"a"})


def test_a_broken_mirror_is_made_anew(synced):
    synced.sync()
    shutil.rmtree(synced.settings.git_folder / "mirror.git" / "objects")

    assert synced.sync().ready


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
def test_a_commit_with_a_bad_manifest_is_rejected(synced, text, words):
    synced.sync()
    synced.repository.put("specs/b.yaml", text)
    synced.repository.put("specs/c.yaml", trainjob("c", "rt"))
    bad = synced.repository.commit()

    synced.assert_rejected("InvalidManifests", words)
    assert synced.source.state.attempted_revision == bad
    assert synced.source.state.faults

    synced.repository.remove("specs/b.yaml")
    good = synced.repository.commit()
    state = synced.sync()
    assert (state.ready, state.revision, state.faults) == (True, good, ())


def test_a_commit_with_a_job_whose_runtime_is_missing_is_accepted(synced):
    synced.repository.put("specs/b.yaml", trainjob("b", "elsewhere"))

    assert synced.repository.commit() == synced.sync().revision


def test_a_kustomization_in_a_commit_is_reported_with_file_and_line(synced):
    synced.sync()
    synced.repository.put(
        "specs/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: x-\n",
    )
    synced.repository.commit()

    synced.assert_rejected(
        "InvalidManifests", "specs/kustomization.yaml:3: namePrefix: a kustomization is not rendered"
    )


def test_an_emptied_folder_removes_nothing_unless_that_is_meant(synced):
    synced.sync()
    synced.repository.remove("specs")
    synced.repository.put("specs/README.md", "nothing here")
    emptied = synced.repository.commit()

    synced.assert_rejected("EmptyFolder", "--allow-empty")

    assert synced.make(allow_empty=True).sync().revision == emptied
    assert synced.jobs() == set()


def test_a_path_that_vanished_removes_nothing_unless_that_is_meant(synced):
    synced.sync()
    synced.repository.remove("specs")
    synced.repository.put("elsewhere/b.yaml", trainjob("b", "rt"))
    moved = synced.repository.commit()

    synced.assert_rejected("PathNotFound", "has no folder specs")

    assert synced.make(allow_empty=True).sync().revision == moved


def test_a_ref_that_vanished_leaves_the_last_revision_in_force(synced):
    synced.repository.push("dev")
    synced.make(git_ref="dev").sync()
    synced.repository.git("push", "--quiet", str(synced.repository.bare), ":refs/heads/dev")

    synced.assert_rejected("RefNotFound", "no branch and no tag dev")


def test_a_repository_that_vanished_leaves_the_last_revision_in_force(synced):
    synced.sync()
    synced.repository.bare.rename(synced.repository.folder / "gone")

    synced.assert_rejected("RepositoryNotFound", "there is no repository")

    (synced.repository.folder / "gone").rename(synced.repository.bare)
    assert synced.sync().ready


def test_a_disk_that_cannot_be_written_is_a_storage_failure(synced):
    synced.sync()
    synced.repository.put("specs/b.yaml", trainjob("b", "rt"))
    synced.repository.commit()
    worktrees = synced.settings.git_folder / "worktrees"
    aside = worktrees.rename(worktrees.with_name("aside"))
    worktrees.write_text("no folder")

    state = synced.sync()
    assert (state.ready, state.reason) == (False, "StorageFailed")

    worktrees.unlink()
    aside.rename(worktrees)
    assert synced.sync().ready
