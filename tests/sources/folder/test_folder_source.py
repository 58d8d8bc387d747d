"""Scanning a folder of manifests: what is found, what cannot be read, and what is not read again."""

import contextlib
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from reconciler.sources.folder import folder_source, last_good
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.folder.grace_periods import VANISHED_GRACE
from tests.sources.manifest_folder import Folder, job, messages, nodes, runtime


def test_jobs_runtimes_secrets_and_configmaps_are_found(folder):
    folder.write("all.yaml", f"{job()}---\n{runtime()}")
    folder.write(
        "sub/data.json",
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "s"},
                "data": {"a": "YWJj"},
                "stringData": {"b": "x"},
            }
        ),
    )
    folder.write(
        "sub/map.yml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\nbinaryData: {b: AAE=}\n",
    )

    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert (entry.errors, entry.stale, entry.waiting_for_runtime) == ((), False, False)
    assert catalog.runtime_for(entry.document).name == "plain"
    assert catalog.secrets == {("default", "s"): {"a": b"abc", "b": b"x"}}
    assert catalog.configmaps == {("default", "c"): {"k": b"v", "b": b"\x00\x01"}}
    assert (catalog.state, catalog.faults, catalog.rescan_at) == ("ok", (), None)


def test_a_scan_without_changes_gives_the_same_catalog(folder):
    folder.write("a.yaml", job())
    folder.write("r.yaml", runtime())

    assert folder.scan() is folder.scan(later=5)


def test_an_edit_replaces_the_document(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=1))
    folder.scan()

    folder.write("a.yaml", job(nodes=2), age=0)
    entry = folder.scan().jobs["default/demo"]

    assert nodes(entry) == 2
    assert not entry.stale


def test_an_unreadable_file_keeps_its_job(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    os.mkfifo(path)
    catalog = folder.scan(later=60)

    assert catalog.jobs["default/demo"].document is not None
    assert "cannot be read" in messages(catalog.file_faults[str(path)])
    assert not catalog.can_prune(str(path))


def test_a_dangling_link_keeps_what_was_behind_it(folder):
    (folder.root.with_name("rev")).mkdir()
    folder.write("../rev/r.yaml", runtime())
    folder.write("../rev/a.yaml", job())
    (folder.root / "current").symlink_to("../rev")
    folder.scan()

    shutil.rmtree(folder.root.with_name("rev"))
    catalog = folder.scan(later=60)

    assert "default/demo" in catalog.jobs
    assert not catalog.can_prune(str(folder.root / "current" / "a.yaml"))


@pytest.fixture
def nobody():
    """A folder that an ordinary user may enter, and that user's eyes (root may read everything)."""

    @contextlib.contextmanager
    def eyes():
        if os.getuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        made = Folder(Path(place) / "specs")
        made.write("r.yaml", runtime())
        made.write("sub/a.yaml", job())
        with eyes():
            made.scan()
        yield made, eyes
        for path in (made.root, made.root / "sub"):
            path.chmod(0o755)


@pytest.mark.parametrize("closed", ["sub/a.yaml", "sub", "."])
def test_no_permission_keeps_the_job_and_says_so(nobody, closed):
    folder, eyes = nobody
    (folder.root / closed).chmod(0)

    with eyes():
        catalog = folder.scan(later=60)
    (folder.root / closed).chmod(0o755)
    with eyes():
        mended = folder.scan(later=60)

    assert catalog.jobs["default/demo"].document is not None
    assert "Permission denied" in messages(catalog.file_faults[str(folder.root / closed)])
    assert not catalog.can_prune(str(folder.root / "sub" / "a.yaml"))
    assert mended.jobs["default/demo"].errors == ()
    assert mended.file_faults == {}
    assert mended.can_prune(str(folder.root / "sub" / "a.yaml"))


def test_a_job_removed_while_its_folder_was_unreadable_is_removed_afterwards(nobody):
    folder, eyes = nobody
    (folder.root / "sub").chmod(0)
    with eyes():
        folder.scan(later=60)

    (folder.root / "sub" / "a.yaml").unlink()
    (folder.root / "sub").chmod(0o755)
    with eyes():
        early = folder.scan(later=60)
        late = folder.scan(later=VANISHED_GRACE)

    assert "default/demo" in early.jobs
    assert "default/demo" not in late.jobs


def test_scanning_unchanged_manifests_reads_none_of_them(folder, monkeypatch):
    folder.write("r.yaml", runtime())
    for number in range(100):
        folder.write(f"{number % 10}/{number}.yaml", f"# {number}\n")
    folder.scan()
    folder.scan(later=60)
    opened = []
    really_open = os.open

    def watched(path, *args, **more):
        opened.append(path)
        return really_open(path, *args, **more)

    monkeypatch.setattr(os, "open", watched)
    folder.scan()
    unchanged = list(opened)
    folder.write("5/5.yaml", "# another\n")
    folder.scan()

    assert not [path for path in unchanged if str(path).endswith(".yaml")]
    assert [Path(path).name for path in opened if str(path).endswith(".yaml")] == ["5.yaml"]


def test_the_watcher_calls_again_when_a_grace_period_ends(tmp_path):
    root = tmp_path / "specs"
    root.mkdir()
    source = FolderSource(root)
    faults = []
    told = threading.Event()

    def scan():
        faults.append(source.scan().file_faults)
        if faults[-1]:
            told.set()

    with contextlib.closing(source.watch(scan)):
        (root / "a.yaml").write_text("{")

        assert told.wait(10)
    assert not faults[0]


def test_a_file_for_which_the_rules_fail_is_a_fault_of_its_own(folder, monkeypatch):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job("good"))
    folder.write("b.yaml", job("bad"))
    path = folder.root / "b.yaml"
    folder.scan()

    def resolve(files, *args, **kwargs):
        if any(doc.name == "bad" and "mistake" in str(doc.raw) for file in files for doc in file.documents):
            raise RecursionError("a mistake in a rule")
        return last_good.resolve(files, *args, **kwargs)

    monkeypatch.setattr(folder_source, "resolve", resolve)
    folder.write("c.yaml", job("other"))
    folder.write("b.yaml", job("bad").replace("spec:", "spec:\n  labels: {a: mistake}", 1))
    catalog = folder.scan(later=5)

    assert catalog.jobs["default/good"].document is not None
    assert catalog.jobs["default/other"].document is not None
    assert "a mistake in a rule" in str(catalog.file_faults[str(path)])
    # What it had before stays in force.
    assert catalog.jobs["default/bad"].document is not None
    assert not catalog.can_prune(str(path))


def test_a_fault_that_no_single_file_causes_is_raised(folder, monkeypatch):
    def resolve(*_args, **_kwargs):
        raise RecursionError("everywhere")

    folder.write("a.yaml", job())
    monkeypatch.setattr(folder_source, "resolve", resolve)
    with pytest.raises(RecursionError):
        folder.scan()
