"""What a folder of manifests comes to over time: last good wins, nothing is believed in haste."""

import contextlib
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from reconciler.api import load
from reconciler.sources.folder.folder_source import REPLACED, SETTLE, VANISH, FolderSource

RUNTIME = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata:
  name: {name}
spec:
  template:
    spec:
      replicatedJobs:
        - name: node
          template:
            metadata:
              labels:
                trainer.kubeflow.org/trainjob-ancestor-step: trainer
            spec:
              template:
                spec:
                  containers:
                    - name: node
                      image: {image}
"""
JOB = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: {name}
spec:
  runtimeRef:
    name: {runtime}
  trainer:
    numNodes: {nodes}
"""


def job(name="demo", *, runtime="plain", nodes=1):
    return JOB.format(name=name, runtime=runtime, nodes=nodes)


def runtime(name="plain", *, image="busybox"):
    return RUNTIME.format(name=name, image=image)


class Clock:
    """A clock that tests turn; files written by :class:`Folder` carry its time."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Folder:
    """A folder of manifests and its source."""

    def __init__(self, root: Path, **options):
        self.root = root
        root.mkdir(exist_ok=True)
        self.clock = Clock()
        self.source = FolderSource(root, clock=self.clock, **options)

    def write(self, name, text, *, age=60.0):
        """Write a file whose last change is ``age`` seconds ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (self.clock.now - age, self.clock.now - age))
        return path

    def scan(self, *, later=0.0, patient=True):
        self.clock.now += later
        return self.source.scan(patient=patient)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "specs")


def nodes(entry):
    return entry.document.raw["spec"]["trainer"]["numNodes"]


def messages(faults):
    return " | ".join(str(fault) for fault in faults)


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
    assert (catalog.state, catalog.faults, catalog.unsettled_until) == ("ok", (), None)


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


def test_a_file_that_stops_parsing_keeps_its_job_and_tells_the_error(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("a.yaml", job() + "  bad: [\n")
    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert entry.stale
    assert nodes(entry) == 3
    assert str(path) in messages(entry.errors)
    assert catalog.file_faults[str(path)]
    assert not catalog.may_prune(str(path))


def test_an_object_that_becomes_invalid_keeps_its_last_good_version(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("a.yaml", job(nodes="many"))
    entry = folder.scan().jobs["default/demo"]

    assert entry.stale
    assert nodes(entry) == 3
    assert "spec.trainer.numNodes" in messages(entry.refused)
    assert entry.candidate.raw["spec"]["trainer"]["numNodes"] == "many"


def test_a_job_that_never_was_valid_is_listed_without_a_document(folder):
    folder.write("a.yaml", job(nodes="many"))

    entry = folder.scan().jobs["default/demo"]

    assert entry.document is None
    assert entry.refused
    assert (entry.namespace, entry.name) == ("default", "demo")


def test_a_broken_file_is_mended_again(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job())
    folder.scan()
    folder.write("a.yaml", "{")
    folder.scan()

    folder.write("a.yaml", job(nodes=2))
    catalog = folder.scan()

    assert nodes(catalog.jobs["default/demo"]) == 2
    assert catalog.faults == ()
    assert catalog.doubtful == frozenset()


def test_a_half_written_file_says_nothing_until_it_settles(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("a.yaml", job()[:-20] + "numNo", age=0.1)
    early = folder.scan()
    late = folder.scan(later=SETTLE)

    assert early.jobs["default/demo"].errors == ()
    assert nodes(early.jobs["default/demo"]) == 3
    assert not early.may_prune(str(path))
    assert early.unsettled_until == pytest.approx(folder.clock.now - 0.1)
    assert late.jobs["default/demo"].errors
    assert late.unsettled_until is None


def test_a_file_that_was_just_emptied_keeps_its_job_until_it_settles(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job())
    folder.scan()

    folder.write("a.yaml", "", age=0)

    assert "default/demo" in folder.scan().jobs
    assert "default/demo" not in folder.scan(later=SETTLE).jobs


def test_a_half_written_new_file_is_taken_when_it_is_whole(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job()[:60], age=0)
    early = folder.scan()

    folder.write("a.yaml", job(), age=0)
    whole = folder.scan(later=0.01)

    assert not early.jobs
    assert not early.faults
    assert not whole.jobs["default/demo"].errors


def test_a_change_in_the_future_settles_too(folder):
    folder.write("a.yaml", "{", age=-3600)

    early = folder.scan()
    late = folder.scan(later=SETTLE)

    assert not early.file_faults
    assert late.file_faults


def test_an_impatient_scan_takes_everything_at_its_word(folder):
    path = folder.write("a.yaml", "{", age=0)

    catalog = folder.scan(patient=False)

    assert catalog.file_faults[str(path)]
    assert catalog.unsettled_until is None


def test_a_removed_file_removes_its_job_after_a_moment(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    early = folder.scan()
    late = folder.scan(later=VANISH)

    assert "default/demo" in early.jobs
    assert not early.may_prune(str(path))
    assert early.unsettled_until == pytest.approx(folder.clock.now)
    assert "default/demo" not in late.jobs
    assert late.may_prune(str(path))


def test_the_last_manifest_may_be_removed(folder):
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    folder.scan()
    catalog = folder.scan(later=VANISH)

    assert catalog.state == "ok"
    assert catalog.jobs == {}
    assert catalog.may_prune(str(path))


def test_all_manifests_gone_at_once_are_not_believed(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    for file in folder.root.iterdir():
        file.unlink()
    catalog = folder.scan(later=60)

    assert catalog.state == "empty"
    assert "default/demo" in catalog.jobs
    assert not catalog.may_prune(str(path))


def test_manifests_removed_one_after_the_other_are_gone(folder):
    paths = [folder.write("a.yaml", job("one")), folder.write("b.yaml", job("two"))]
    folder.scan()

    for path in paths:
        path.unlink()
        folder.scan()
    catalog = folder.scan(later=VANISH)

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
        seen.append(set(folder.scan(later=REPLACED / 2).jobs))

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
    assert after.unsettled_until is None


def test_a_renamed_file_is_no_duplicate(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    path.rename(path.with_name("b.yaml"))
    entry = folder.scan().jobs["default/demo"]

    assert entry.errors == ()
    assert entry.file == str(folder.root / "b.yaml")


def test_two_files_with_the_same_job_are_both_at_fault_and_the_first_stays(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("b.yaml", job(nodes=5))
    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert nodes(entry) == 3
    assert {Path(fault.file).name for fault in entry.errors} == {"a.yaml", "b.yaml"}
    assert all("a.yaml" in str(fault) and "b.yaml" in str(fault) for fault in entry.errors)
    assert entry.file == str(folder.root / "a.yaml")


def test_two_files_with_the_same_new_job_start_nothing_until_one_goes(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=3))
    second = folder.write("b.yaml", job(nodes=5))
    both = folder.scan()

    second.unlink()
    folder.scan()
    one = folder.scan(later=VANISH)

    assert both.jobs["default/demo"].document is None
    assert nodes(one.jobs["default/demo"]) == 3
    assert one.jobs["default/demo"].errors == ()


def test_a_job_without_its_runtime_waits_and_is_not_refused(folder):
    folder.write("a.yaml", job())

    waiting = folder.scan().jobs["default/demo"]
    folder.write("r.yaml", runtime())
    found = folder.scan().jobs["default/demo"]

    assert waiting.waiting_for_runtime
    assert waiting.document is not None
    assert waiting.refused == ()
    assert "plain" in messages(waiting.errors)
    assert not found.waiting_for_runtime
    assert found.errors == ()


def test_a_runtime_that_becomes_invalid_keeps_its_last_good_version(folder):
    folder.write("a.yaml", job())
    folder.write("r.yaml", runtime(image="one"))
    folder.scan()

    folder.write("r.yaml", runtime(image="[one]"))
    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert entry.errors == ()
    assert "image: one" in str(catalog.runtime_for(entry.document).raw).replace("'", "")
    assert catalog.faults


def test_jobs_of_an_invalid_runtime_wait_and_name_it_whatever_is_built_in(tmp_path):
    builtin = load(runtime(image="builtin").encode(), "builtin.yaml").documents
    folder = Folder(tmp_path / "specs", builtin=builtin)
    folder.write("a.yaml", job())
    folder.write("r.yaml", runtime(image="[one]"))

    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert entry.waiting_for_runtime
    assert "r.yaml" in messages(entry.errors)
    assert catalog.runtime_for(entry.document) is None


def test_a_runtime_edited_so_that_it_is_refused_keeps_its_last_good_version(folder):
    folder.write("a.yaml", job())
    folder.write("r.yaml", runtime())
    folder.scan()

    refused = runtime().replace(
        "- name: node\n", "- name: node\n          dependsOn: [{name: nobody, status: Ready}]\n", 1
    )
    folder.write("r.yaml", refused)
    catalog = folder.scan()

    assert catalog.jobs["default/demo"].errors == ()
    assert "nobody" not in str(catalog.runtime_for(catalog.jobs["default/demo"].document).raw)
    assert any(fault.object == "ClusterTrainingRuntime/plain" for fault in catalog.faults)


def test_builtin_runtimes_come_last(tmp_path):
    builtin = load(runtime(image="builtin").encode(), "builtin.yaml").documents
    folder = Folder(tmp_path / "specs", builtin=builtin)
    folder.write("a.yaml", job())

    alone = folder.scan()
    folder.write("r.yaml", runtime(image="own"))
    both = folder.scan()

    entry = alone.jobs["default/demo"]
    assert entry.errors == ()
    assert "builtin" in str(alone.runtime_for(entry.document).raw)
    assert "own" in str(both.runtime_for(entry.document).raw)


def test_of_further_runtimes_the_first_of_a_name_wins(tmp_path):
    refused = runtime().replace(
        "- name: node\n", "- name: node\n          dependsOn: [{name: nobody, status: Ready}]\n", 1
    )
    further = [load(text.encode(), f"{n}.yaml").documents[0] for n, text in enumerate([runtime(), refused])]
    folder = Folder(tmp_path / "specs", builtin=further)
    folder.write("a.yaml", job())

    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert entry.errors == ()
    assert catalog.runtime_for(entry.document) is further[0]


def test_a_namespaced_runtime_is_looked_for_in_the_jobs_namespace(folder):
    text = runtime().replace("ClusterTrainingRuntime", "TrainingRuntime")
    own = text.replace("name: plain", "name: plain\n  namespace: team")
    wanted = job().replace("name: plain", "name: plain\n    kind: TrainingRuntime")
    folder.write("r.yaml", own)
    folder.write("a.yaml", wanted)
    folder.write("b.yaml", wanted.replace("name: demo", "name: demo\n  namespace: team"))

    catalog = folder.scan()

    assert catalog.jobs["default/demo"].waiting_for_runtime
    assert not catalog.jobs["team/demo"].waiting_for_runtime
    assert catalog.runtime_for(catalog.jobs["team/demo"].document).namespace == "team"


def test_a_missing_folder_takes_nothing_away(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    before = folder.scan()

    shutil.rmtree(folder.root)
    catalog = folder.scan(later=60)

    assert catalog.state == "missing"
    assert catalog.jobs == before.jobs
    assert not catalog.may_prune(str(path))
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
    assert not catalog.may_prune(str(path))


def test_a_folder_that_may_be_empty_loses_its_jobs_after_a_moment(tmp_path):
    folder = Folder(tmp_path / "specs", may_be_empty=True)
    folder.write("a.yaml", runtime() + "---\n" + job())
    folder.scan()

    folder.root.rename(folder.root.with_name("away"))
    folder.root.mkdir()
    held = folder.scan()
    settled = folder.scan(later=REPLACED + 0.01)

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
    half = folder.scan(later=REPLACED - 0.5)
    folder.write("b.yaml", job("two"), age=0)
    whole = folder.scan()
    settled = folder.scan(later=2 * REPLACED)

    for catalog in (begun, half, whole, settled):
        assert set(catalog.jobs) == {"default/one", "default/two"}
        assert all(not entry.errors for entry in catalog.jobs.values())
    assert settled.unsettled_until is None


def test_a_job_left_out_of_a_swapped_folder_goes(tmp_path):
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
    late = folder.scan(later=REPLACED)

    assert set(early.jobs) == {"default/one", "default/two"}
    assert set(late.jobs) == {"default/one"}
    assert late.jobs["default/one"].file == str(tmp_path / "specs" / "one.yaml")


def test_an_empty_folder_at_the_start_is_told_from_one_that_has_been_worked_on(folder):
    assert folder.scan().state == "empty"

    (folder.root / "a.status.yaml").write_text("x")

    assert folder.scan().state == "ok"


def test_at_the_start_a_folder_that_has_lost_many_manifests_is_not_believed(folder):
    for name in ("a", "b"):
        (folder.root / f"{name}.status.yaml").write_text("x")

    assert folder.scan().state == "empty"


def test_an_unreadable_file_keeps_its_job(folder):
    folder.write("r.yaml", runtime())
    path = folder.write("a.yaml", job())
    folder.scan()

    path.unlink()
    os.mkfifo(path)
    catalog = folder.scan(later=60)

    assert catalog.jobs["default/demo"].document is not None
    assert "cannot be read" in messages(catalog.file_faults[str(path)])
    assert not catalog.may_prune(str(path))


def test_a_dangling_link_keeps_what_was_behind_it(folder):
    (folder.root.with_name("rev")).mkdir()
    folder.write("../rev/r.yaml", runtime())
    folder.write("../rev/a.yaml", job())
    (folder.root / "current").symlink_to("../rev")
    folder.scan()

    shutil.rmtree(folder.root.with_name("rev"))
    catalog = folder.scan(later=60)

    assert "default/demo" in catalog.jobs
    assert not catalog.may_prune(str(folder.root / "current" / "a.yaml"))


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
    assert not catalog.may_prune(str(folder.root / "sub" / "a.yaml"))
    assert mended.jobs["default/demo"].errors == ()
    assert mended.file_faults == {}
    assert mended.may_prune(str(folder.root / "sub" / "a.yaml"))


def test_a_job_that_left_while_its_folder_was_closed_goes_afterwards(nobody):
    folder, eyes = nobody
    (folder.root / "sub").chmod(0)
    with eyes():
        folder.scan(later=60)

    (folder.root / "sub" / "a.yaml").unlink()
    (folder.root / "sub").chmod(0o755)
    with eyes():
        early = folder.scan(later=60)
        late = folder.scan(later=VANISH)

    assert "default/demo" in early.jobs
    assert "default/demo" not in late.jobs


def test_one_bad_document_does_not_hide_the_others_of_its_file(folder):
    folder.write("all.yaml", "---\n".join([runtime(), job("good"), job("bad", nodes="many")]))

    catalog = folder.scan()

    assert not catalog.jobs["default/good"].errors
    assert catalog.jobs["default/bad"].refused


def test_a_removed_document_of_a_file_removes_its_job(folder):
    folder.write("all.yaml", "---\n".join([runtime(), job("one"), job("two")]))
    folder.scan()

    path = folder.write("all.yaml", "---\n".join([runtime(), job("one")]))
    catalog = folder.scan()

    assert set(catalog.jobs) == {"default/one"}
    assert catalog.may_prune(str(path))


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


def test_the_watcher_calls_again_when_something_held_back_is_due(tmp_path):
    root = tmp_path / "specs"
    root.mkdir()
    source = FolderSource(root)
    faults = []
    told = threading.Event()

    def scan():
        faults.append(source.scan().file_faults)
        if faults[-1]:
            told.set()

    with source:
        source.watch(scan)
        (root / "a.yaml").write_text("{")

        assert told.wait(10)
    assert not faults[0]
