"""What looks removed or half-written is waited for before it is believed."""

import shutil

import pytest

from reconciler.sources.folder.grace_periods import HALF_WRITTEN_GRACE, REPLACED_FOLDER_GRACE, VANISHED_GRACE
from tests.sources.manifest_folder import Folder, job, nodes, runtime


def test_a_half_written_file_has_no_faults_during_its_grace_period(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("a.yaml", job()[:-20] + "numNo", age=0.1)
    early = folder.scan()
    late = folder.scan(later=HALF_WRITTEN_GRACE)

    assert early.jobs["default/demo"].errors == ()
    assert nodes(early.jobs["default/demo"]) == 3
    assert not early.can_prune(str(path))
    assert early.rescan_at == pytest.approx(folder.clock.now - 0.1)
    assert late.jobs["default/demo"].errors
    assert late.rescan_at is None


def test_a_file_that_was_just_emptied_keeps_its_job_during_its_grace_period(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job())
    folder.scan()

    folder.write("a.yaml", "", age=0)

    assert "default/demo" in folder.scan().jobs
    assert "default/demo" not in folder.scan(later=HALF_WRITTEN_GRACE).jobs


def test_a_half_written_new_file_is_read_when_it_is_whole(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job()[:60], age=0)
    early = folder.scan()

    folder.write("a.yaml", job(), age=0)
    whole = folder.scan(later=0.01)

    assert not early.jobs
    assert not early.faults
    assert not whole.jobs["default/demo"].errors


def test_the_grace_period_of_a_change_in_the_future_ends_too(folder):
    folder.write("a.yaml", "{", age=-3600)

    early = folder.scan()
    late = folder.scan(later=HALF_WRITTEN_GRACE)

    assert not early.file_faults
    assert late.file_faults


def test_a_scan_without_grace_periods_takes_everything_at_its_word(folder):
    path = folder.write("a.yaml", "{", age=0)

    catalog = folder.scan(grace=False)

    assert catalog.file_faults[str(path)]
    assert catalog.rescan_at is None


def test_a_removed_file_removes_its_job_after_a_moment(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    early = folder.scan()
    late = folder.scan(later=VANISHED_GRACE)

    assert "default/demo" in early.jobs
    assert not early.can_prune(str(path))
    assert early.rescan_at == pytest.approx(folder.clock.now)
    assert "default/demo" not in late.jobs
    assert late.can_prune(str(path))


def test_the_last_manifest_may_be_removed(folder):
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    folder.scan()
    catalog = folder.scan(later=VANISHED_GRACE)

    assert catalog.state == "ok"
    assert catalog.jobs == {}
    assert catalog.can_prune(str(path))


def test_all_manifests_gone_at_once_are_not_believed(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    for file in folder.root.iterdir():
        file.unlink()
    catalog = folder.scan(later=60)

    assert catalog.state == "empty"
    assert "default/demo" in catalog.jobs
    assert not catalog.can_prune(str(path))


def test_manifests_removed_one_after_the_other_are_removed(folder):
    paths = [folder.write("a.yaml", job("one")), folder.write("b.yaml", job("two"))]
    folder.scan()

    for path in paths:
        path.unlink()
        folder.scan()
    catalog = folder.scan(later=VANISHED_GRACE)

    assert (catalog.state, catalog.jobs) == ("ok", {})


def test_manifests_that_were_all_gone_may_come_back_bit_by_bit(folder):
    texts = {"r.yaml": runtime(), "a.yaml": job("one"), "b.yaml": job("two")}
    for name, text in texts.items():
        folder.write(name, text)
    folder.scan()
    for name in texts:
        (folder.root / name).unlink()
    folder.scan(later=60)

    seen = []
    for name, text in texts.items():
        folder.write(name, text)
        seen.append(set(folder.scan(later=REPLACED_FOLDER_GRACE / 2).jobs))

    assert seen == [{"default/one", "default/two"}] * 3


def test_a_file_that_comes_back_at_once_changes_nothing(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    before = folder.scan()
    path.rename(path.with_name("a.yaml~"))
    folder.scan()

    path.with_name("a.yaml~").rename(path)
    after = folder.scan(later=0.1)

    assert after.jobs["default/demo"].document is before.jobs["default/demo"].document
    assert after.rescan_at is None


def test_a_missing_folder_takes_nothing_away(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    before = folder.scan()

    shutil.rmtree(folder.root)
    catalog = folder.scan(later=60)

    assert catalog.state == "missing"
    assert catalog.jobs == before.jobs
    assert not catalog.can_prune(str(path))
    assert str(folder.root) in catalog.file_faults


def test_a_folder_made_anew_and_empty_takes_nothing_away(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    # Another folder under the same name, as a file system that was unmounted leaves it.
    folder.root.rename(folder.root.with_name("away"))
    folder.root.mkdir()
    catalog = folder.scan(later=60)

    assert catalog.state == "empty"
    assert "default/demo" in catalog.jobs
    assert not catalog.can_prune(str(path))


def test_a_folder_that_may_be_empty_loses_its_jobs_after_a_moment(tmp_path):
    folder = Folder(tmp_path / "specs", allow_empty=True)
    folder.write("a.yaml", runtime() + "---\n" + job())
    folder.scan()

    folder.root.rename(folder.root.with_name("away"))
    folder.root.mkdir()
    held = folder.scan()
    settled = folder.scan(later=REPLACED_FOLDER_GRACE + 0.01)

    assert (set(held.jobs), held.state) == ({"default/demo"}, "ok")
    assert (settled.jobs, settled.state) == ({}, "ok")


def test_a_folder_that_is_filled_again_bit_by_bit_loses_nothing(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job("one"))
    folder.write("b.yaml", job("two"))
    folder.scan()
    folder.root.rename(folder.root.with_name("away"))
    folder.root.mkdir()
    folder.scan()

    folder.write("r.yaml", runtime(), age=0)
    folder.write("a.yaml", job("one"), age=0)
    begun = folder.scan()
    half = folder.scan(later=REPLACED_FOLDER_GRACE - 0.5)
    folder.write("b.yaml", job("two"), age=0)
    whole = folder.scan()
    settled = folder.scan(later=2 * REPLACED_FOLDER_GRACE)

    for catalog in (begun, half, whole, settled):
        assert set(catalog.jobs) == {"default/one", "default/two"}
        assert all(not entry.errors for entry in catalog.jobs.values())
    assert settled.rescan_at is None


def test_a_job_left_out_of_a_swapped_folder_is_removed(tmp_path):
    for name, jobs in {"rev-1": ["one", "two"], "rev-2": ["one"]}.items():
        made = Folder(tmp_path / name)
        made.write("r.yaml", runtime())
        for one in jobs:
            made.write(f"{one}.yaml", job(one))
    (tmp_path / "specs").symlink_to("rev-1")
    folder = Folder(tmp_path / "specs")
    folder.scan()

    (tmp_path / "spare").symlink_to("rev-2")
    (tmp_path / "spare").replace(tmp_path / "specs")
    early = folder.scan()
    late = folder.scan(later=REPLACED_FOLDER_GRACE)

    assert set(early.jobs) == {"default/one", "default/two"}
    assert set(late.jobs) == {"default/one"}
    assert late.jobs["default/one"].file == str(tmp_path / "specs" / "one.yaml")


def test_an_empty_folder_at_the_start_is_distinguished_from_one_with_sidecars(folder):
    assert folder.scan().state == "empty"

    (folder.root / "a.status.yaml").write_text("x")

    assert folder.scan().state == "ok"


def test_at_the_start_a_folder_that_has_lost_many_manifests_is_not_believed(folder):
    for name in ("a", "b"):
        (folder.root / f"{name}.status.yaml").write_text("x")

    assert folder.scan().state == "empty"
