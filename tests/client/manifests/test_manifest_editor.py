"""Edits of manifests change only what they must, in every layout that people write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.client.manifests.manifest_editor import ObjectRef, remove_object, set_annotation, set_suspend
from reconciler.client.manifests.yaml_text_edits import ObjectPosition, edit_value
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import ANNOTATION_RERUN

PLAIN = """\
# ours
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: demo   # the name
spec:
  # which runtime
  runtimeRef:
    name: "torch-distributed"
"""
OTHER = """\
kind: Secret
metadata: {name: s}
stringData:
  key:   value    # oddly  spaced
"""


def ref(path: Path, name: str = "demo", namespace: str = "default") -> ObjectRef:
    return ObjectRef(file=path, kind="TrainJob", namespace=namespace, name=name)


def manifest(folder: Path, text: str, name: str = "job.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_suspend_is_inserted_below_spec_and_nothing_else_changes(tmp_path):
    path = manifest(tmp_path, PLAIN)

    assert set_suspend(ref(path), suspend=True)

    assert path.read_text() == PLAIN.replace("spec:\n", "spec:\n  suspend: true\n")


def test_existing_value_is_replaced_in_place(tmp_path):
    path = manifest(tmp_path, PLAIN + "  suspend: false  # for now\n")

    assert set_suspend(ref(path), suspend=True)

    assert path.read_text() == PLAIN + "  suspend: true  # for now\n"


@pytest.mark.parametrize(("value", "wanted"), [("true", True), ("false", False)])
def test_equal_value_leaves_the_file_untouched(tmp_path, value, wanted):
    path = manifest(tmp_path, PLAIN + f"  suspend: {value}\n")
    before = path.stat()

    assert not set_suspend(ref(path), suspend=wanted)

    assert path.stat().st_ino == before.st_ino


def test_resume_without_suspend_changes_nothing(tmp_path):
    path = manifest(tmp_path, PLAIN)

    assert not set_suspend(ref(path), suspend=False)


def test_other_documents_keep_every_byte(tmp_path):
    path = manifest(tmp_path, OTHER + "---\n" + PLAIN + "---\n" + OTHER)

    set_suspend(ref(path), suspend=True)

    changed = PLAIN.replace("spec:\n", "spec:\n  suspend: true\n")
    assert path.read_text() == OTHER + "---\n" + changed + "---\n" + OTHER


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("metadata:\n  name: demo\n", "metadata:\n  annotations:\n    K: V\n  name: demo\n"),
        (
            "metadata:\n  name: demo\n  annotations:\n    a: b\n",
            "metadata:\n  name: demo\n  annotations:\n    K: V\n    a: b\n",
        ),
        (
            "metadata:\n  name: demo\n  annotations:\n    K: old # c\n",
            "metadata:\n  name: demo\n  annotations:\n    K: V # c\n",
        ),
        ("metadata:\n  name: demo\n  annotations: {}\n", "metadata:\n  name: demo\n  annotations: {K: V}\n"),
        ("metadata:\n  name: demo\n  annotations:\n", "metadata:\n  name: demo\n  annotations: {K: V}\n"),
        ("metadata: {name: demo}\n", "metadata: {annotations: {K: V}, name: demo}\n"),
        (
            "metadata: {name: demo, annotations: {a: b}}\n",
            "metadata: {name: demo, annotations: {K: V, a: b}}\n",
        ),
    ],
)
def test_annotation_fits_the_existing_layout(tmp_path, before, after):
    rest = "kind: TrainJob\nspec: {}\n"
    path = manifest(tmp_path, before.replace("K:", "example.com/k:") + rest)

    set_annotation(ref(path), "example.com/k", "v w")

    assert path.read_text() == after.replace("K", "example.com/k").replace("V", '"v w"') + rest


def test_json_stays_json_with_its_layout(tmp_path):
    data = {"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": {"runtimeRef": {"name": "r"}}}
    path = manifest(tmp_path, json.dumps(data, indent=2) + "\n", "job.json")

    set_suspend(ref(path), suspend=True)
    set_annotation(ref(path), ANNOTATION_RERUN, "t")

    written = path.read_text()
    wanted = json.loads(json.dumps(data))
    wanted["spec"]["suspend"] = True
    wanted["metadata"]["annotations"] = {ANNOTATION_RERUN: "t"}
    assert json.loads(written) == wanted
    assert '  "spec": {\n    "suspend": true,\n    "runtimeRef": {' in written


def test_compact_json_stays_json(tmp_path):
    path = manifest(tmp_path, '{"kind":"TrainJob","metadata":{"name":"demo"},"spec":{}}', "job.json")

    set_suspend(ref(path), suspend=True)

    assert json.loads(path.read_text())["spec"] == {"suspend": True}


def test_windows_line_ends_and_a_byte_order_mark_stay(tmp_path):
    path = manifest(tmp_path, "\ufeff" + PLAIN.replace("\n", "\r\n"))

    set_suspend(ref(path), suspend=True)

    text = path.read_bytes().decode()
    assert text.startswith("\ufeff#")
    assert text.count("\n") == text.count("\r\n") == PLAIN.count("\n") + 1
    assert yaml.safe_load(text)["spec"]["suspend"] is True


def test_file_with_merge_keys_is_written_anew_with_its_comments(tmp_path):
    text = (
        "x: &base\n  runtimeRef: {name: r}  # comment\nkind: TrainJob\nmetadata: {name: demo}\n"
        "spec:\n  <<: *base\n"
    )
    path = manifest(tmp_path, text)

    set_suspend(ref(path), suspend=True)

    written = path.read_text()
    assert "# comment" in written
    assert yaml.safe_load(written)["spec"] == {"suspend": True, "runtimeRef": {"name": "r"}}
    assert yaml.safe_load(written)["x"] == {"runtimeRef": {"name": "r"}}


def test_aliased_part_is_not_changed(tmp_path):
    text = "x: &base {runtimeRef: {name: r}}\nkind: TrainJob\nmetadata: {name: demo}\nspec: *base\n"
    path = manifest(tmp_path, text)

    with pytest.raises(ReconcilerError, match="by hand"):
        set_suspend(ref(path), suspend=True)

    assert path.read_text() == text


def test_item_of_a_list_is_edited_and_removed(tmp_path):
    job = {"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": {"runtimeRef": {"name": "r"}}}
    text = yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Secret"}, job]})
    path = manifest(tmp_path, text)

    set_suspend(ref(path), suspend=True)
    assert yaml.safe_load(path.read_text())["items"][1]["spec"]["suspend"] is True

    assert remove_object(ref(path)) == "document"
    assert yaml.safe_load(path.read_text())["items"] == [{"kind": "Secret"}]


def test_namespace_distinguishes_jobs_of_one_name(tmp_path):
    second = PLAIN.replace("name: demo   # the name", "name: demo\n  namespace: team-a")
    path = manifest(tmp_path, PLAIN + "---\n" + second)

    set_suspend(ref(path, namespace="team-a"), suspend=True)

    first, other = yaml.safe_load_all(path.read_text())
    assert "suspend" not in first["spec"]
    assert other["spec"]["suspend"] is True


def test_removing_the_only_object_removes_the_file(tmp_path):
    path = manifest(tmp_path, "---\n" + PLAIN + "---\n")

    assert remove_object(ref(path)) == "file"

    assert not path.exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PLAIN + "---\n" + OTHER, "---\n" + OTHER),
        (OTHER + "---\n" + PLAIN, OTHER),
        (OTHER + "---\n" + PLAIN + "---\n" + OTHER, OTHER + "---\n" + OTHER),
        ("# licence\n---\n" + PLAIN + "---\n" + OTHER, "# licence\n---\n" + OTHER),
    ],
)
def test_removing_one_of_several_leaves_the_others_unchanged(tmp_path, before, after):
    path = manifest(tmp_path, before)

    assert remove_object(ref(path)) == "document"

    assert path.read_text() == after


def test_mode_and_owner_of_the_file_stay(tmp_path):
    path = manifest(tmp_path, PLAIN)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()

    set_suspend(ref(path), suspend=True)

    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_symlink_to_a_manifest_stays_a_symlink(tmp_path):
    real = manifest(tmp_path, PLAIN, "real.yaml")
    link = tmp_path / "link.yaml"
    link.symlink_to(real)

    set_suspend(ref(link), suspend=True)

    assert link.is_symlink()
    assert "suspend: true" in real.read_text()


def test_missing_objects_and_unparsable_files_are_errors(tmp_path):
    path = manifest(tmp_path, PLAIN)
    broken = manifest(tmp_path, "a: [\n", "broken.yaml")

    with pytest.raises(ReconcilerError, match="There is no TrainJob other"):
        set_suspend(ref(path, "other"), suspend=True)
    with pytest.raises(ReconcilerError, match="is gone"):
        set_suspend(ref(tmp_path / "none.yaml"), suspend=True)
    with pytest.raises(ReconcilerError, match=r"broken.yaml:2: the file cannot be parsed"):
        set_suspend(ref(broken), suspend=True)
    with pytest.raises(StateError, match="Cannot read"):
        set_suspend(ref(tmp_path), suspend=True)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    spec=st.dictionaries(st.text("abc", min_size=1), values, max_size=4),
    flow=st.sampled_from([None, True, False]),
    before=st.integers(0, 2),
)
def test_proposed_edit_is_right_in_every_layout(spec, flow, before):
    documents = [{"n": 1}] * before + [{"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": spec}]
    text = yaml.safe_dump_all(documents, default_flow_style=flow)

    edit = edit_value(text, ObjectPosition(document=before), ("spec", "suspend"), True)

    assert edit is not None
    documents[-1]["spec"] = {**spec, "suspend": True}
    assert list(yaml.safe_load_all(edit)) == documents
