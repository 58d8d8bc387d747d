"""Which version of an object is in force: the last good one."""

from pathlib import Path

from reconciler.api import load
from reconciler.sources.folder.grace_periods import VANISHED_GRACE
from tests.sources.manifest_folder import Folder, job, messages, nodes, runtime


def test_a_file_that_stops_parsing_keeps_its_job_and_reports_the_error(folder):
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
    assert not catalog.can_prune(str(path))


def test_an_object_that_becomes_invalid_keeps_its_last_good_version(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=3))
    folder.scan()

    folder.write("a.yaml", job(nodes="many"))
    entry = folder.scan().jobs["default/demo"]

    assert entry.stale
    assert nodes(entry) == 3
    assert "spec.trainer.numNodes" in messages(entry.rejections)
    assert entry.candidate.raw["spec"]["trainer"]["numNodes"] == "many"


def test_a_job_that_never_was_valid_is_listed_without_a_document(folder):
    folder.write("a.yaml", job(nodes="many"))

    entry = folder.scan().jobs["default/demo"]

    assert entry.document is None
    assert entry.rejections
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
    assert catalog.unprunable_paths == frozenset()


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


def test_two_files_with_the_same_new_job_start_nothing_until_one_is_removed(folder):
    folder.write("r.yaml", runtime())
    folder.write("a.yaml", job(nodes=3))
    second = folder.write("b.yaml", job(nodes=5))
    both = folder.scan()

    second.unlink()
    folder.scan()
    one = folder.scan(later=VANISHED_GRACE)

    assert both.jobs["default/demo"].document is None
    assert nodes(one.jobs["default/demo"]) == 3
    assert one.jobs["default/demo"].errors == ()


def test_a_job_without_its_runtime_waits_and_is_not_rejected(folder):
    folder.write("a.yaml", job())

    waiting = folder.scan().jobs["default/demo"]
    folder.write("r.yaml", runtime())
    found = folder.scan().jobs["default/demo"]

    assert waiting.waiting_for_runtime
    assert waiting.document is not None
    assert waiting.rejections == ()
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
    folder = Folder(tmp_path / "specs", fallback_runtimes=builtin)
    folder.write("a.yaml", job())
    folder.write("r.yaml", runtime(image="[one]"))

    catalog = folder.scan()

    entry = catalog.jobs["default/demo"]
    assert entry.waiting_for_runtime
    assert "r.yaml" in messages(entry.errors)
    assert catalog.runtime_for(entry.document) is None


def test_a_runtime_edited_so_that_it_is_rejected_keeps_its_last_good_version(folder):
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


def test_the_folders_runtime_wins_over_a_fallback(tmp_path):
    builtin = load(runtime(image="builtin").encode(), "builtin.yaml").documents
    folder = Folder(tmp_path / "specs", fallback_runtimes=builtin)
    folder.write("a.yaml", job())

    alone = folder.scan()
    folder.write("r.yaml", runtime(image="own"))
    both = folder.scan()

    entry = alone.jobs["default/demo"]
    assert entry.errors == ()
    assert "builtin" in str(alone.runtime_for(entry.document).raw)
    assert "own" in str(both.runtime_for(entry.document).raw)


def test_of_fallback_runtimes_the_first_of_a_name_wins(tmp_path):
    refused = runtime().replace(
        "- name: node\n", "- name: node\n          dependsOn: [{name: nobody, status: Ready}]\n", 1
    )
    further = [load(text.encode(), f"{n}.yaml").documents[0] for n, text in enumerate([runtime(), refused])]
    folder = Folder(tmp_path / "specs", fallback_runtimes=further)
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


def test_one_bad_document_does_not_hide_the_others_of_its_file(folder):
    folder.write("all.yaml", "---\n".join([runtime(), job("good"), job("bad", nodes="many")]))

    catalog = folder.scan()

    assert not catalog.jobs["default/good"].errors
    assert catalog.jobs["default/bad"].rejections


def test_a_removed_document_of_a_file_removes_its_job(folder):
    folder.write("all.yaml", "---\n".join([runtime(), job("one"), job("two")]))
    folder.scan()

    path = folder.write("all.yaml", "---\n".join([runtime(), job("one")]))
    catalog = folder.scan()

    assert set(catalog.jobs) == {"default/one"}
    assert catalog.can_prune(str(path))
