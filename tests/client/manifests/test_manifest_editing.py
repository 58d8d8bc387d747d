"""Editing manifests: only what must change does, in every layout people write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.client.manifests.manifest_editing import (
    ANNOTATION_RERUN,
    Target,
    remove_object,
    set_annotation,
    set_suspend,
)
from reconciler.client.manifests.yaml_text import Place, set_value
from reconciler.errors import ReconcilerError, StateError

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


def target(path: Path, name: str = "demo", namespace: str = "default") -> Target:
    return Target(file=path, kind="TrainJob", namespace=namespace, name=name)


def manifest(folder: Path, text: str, name: str = "job.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_suspend_is_put_below_spec_and_nothing_else_changes(tmp_path):
    path = manifest(tmp_path, PLAIN)

    assert set_suspend(target(path), suspend=True)

    assert path.read_text() == PLAIN.replace("spec:\n", "spec:\n  suspend: true\n")


def test_a_value_that_is_there_is_replaced_in_place(tmp_path):
    path = manifest(tmp_path, PLAIN + "  suspend: false  # for now\n")

    assert set_suspend(target(path), suspend=True)

    assert path.read_text() == PLAIN + "  suspend: true  # for now\n"


@pytest.mark.parametrize(("there", "wanted"), [("true", True), ("false", False)])
def test_a_value_that_is_right_leaves_the_file_untouched(tmp_path, there, wanted):
    path = manifest(tmp_path, PLAIN + f"  suspend: {there}\n")
    before = path.stat()

    assert not set_suspend(target(path), suspend=wanted)

    assert path.stat().st_ino == before.st_ino


def test_resuming_what_was_never_suspended_changes_nothing(tmp_path):
    path = manifest(tmp_path, PLAIN)

    assert not set_suspend(target(path), suspend=False)


def test_other_documents_keep_every_byte(tmp_path):
    path = manifest(tmp_path, OTHER + "---\n" + PLAIN + "---\n" + OTHER)

    set_suspend(target(path), suspend=True)

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
def test_annotations_fit_the_layout_there_is(tmp_path, before, after):
    rest = "kind: TrainJob\nspec: {}\n"
    path = manifest(tmp_path, before.replace("K:", "example.com/k:") + rest)

    set_annotation(target(path), "example.com/k", "v w")

    assert path.read_text() == after.replace("K", "example.com/k").replace("V", '"v w"') + rest


def test_json_stays_json_with_its_layout(tmp_path):
    data = {"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": {"runtimeRef": {"name": "r"}}}
    path = manifest(tmp_path, json.dumps(data, indent=2) + "\n", "job.json")

    set_suspend(target(path), suspend=True)
    set_annotation(target(path), ANNOTATION_RERUN, "t")

    written = path.read_text()
    wanted = json.loads(json.dumps(data))
    wanted["spec"]["suspend"] = True
    wanted["metadata"]["annotations"] = {ANNOTATION_RERUN: "t"}
    assert json.loads(written) == wanted
    assert '  "spec": {\n    "suspend": true,\n    "runtimeRef": {' in written


def test_compact_json_stays_json(tmp_path):
    path = manifest(tmp_path, '{"kind":"TrainJob","metadata":{"name":"demo"},"spec":{}}', "job.json")

    set_suspend(target(path), suspend=True)

    assert json.loads(path.read_text())["spec"] == {"suspend": True}


def test_windows_line_ends_and_a_byte_order_mark_stay(tmp_path):
    path = manifest(tmp_path, "\ufeff" + PLAIN.replace("\n", "\r\n"))

    set_suspend(target(path), suspend=True)

    text = path.read_bytes().decode()
    assert text.startswith("\ufeff#")
    assert text.count("\n") == text.count("\r\n") == PLAIN.count("\n") + 1
    assert yaml.safe_load(text)["spec"]["suspend"] is True


def test_merge_keys_are_written_out_by_the_round_trip_with_comments_kept(tmp_path):
    text = (
        "x: &base\n  runtimeRef: {name: r}  # comment\nkind: TrainJob\nmetadata: {name: demo}\n"
        "spec:\n  <<: *base\n"
    )
    path = manifest(tmp_path, text)

    set_suspend(target(path), suspend=True)

    written = path.read_text()
    assert "# comment" in written
    assert yaml.safe_load(written)["spec"] == {"suspend": True, "runtimeRef": {"name": "r"}}
    assert yaml.safe_load(written)["x"] == {"runtimeRef": {"name": "r"}}


def test_a_shared_part_is_not_changed_behind_the_others_back(tmp_path):
    text = "x: &base {runtimeRef: {name: r}}\nkind: TrainJob\nmetadata: {name: demo}\nspec: *base\n"
    path = manifest(tmp_path, text)

    with pytest.raises(ReconcilerError, match="by hand"):
        set_suspend(target(path), suspend=True)

    assert path.read_text() == text


def test_an_item_of_a_list_is_found_and_changed(tmp_path):
    job = {"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": {"runtimeRef": {"name": "r"}}}
    text = yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Secret"}, job]})
    path = manifest(tmp_path, text)

    set_suspend(target(path), suspend=True)
    assert yaml.safe_load(path.read_text())["items"][1]["spec"]["suspend"] is True

    assert remove_object(target(path)) == "document"
    assert yaml.safe_load(path.read_text())["items"] == [{"kind": "Secret"}]


def test_the_namespace_tells_two_jobs_of_one_name_apart(tmp_path):
    second = PLAIN.replace("name: demo   # the name", "name: demo\n  namespace: team-a")
    path = manifest(tmp_path, PLAIN + "---\n" + second)

    set_suspend(target(path, namespace="team-a"), suspend=True)

    first, other = yaml.safe_load_all(path.read_text())
    assert "suspend" not in first["spec"]
    assert other["spec"]["suspend"] is True


def test_deleting_the_only_object_deletes_the_file(tmp_path):
    path = manifest(tmp_path, "---\n" + PLAIN + "---\n")

    assert remove_object(target(path)) == "file"

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
def test_deleting_one_of_several_leaves_the_others_as_they_are(tmp_path, before, after):
    path = manifest(tmp_path, before)

    assert remove_object(target(path)) == "document"

    assert path.read_text() == after


def test_mode_and_owner_of_the_file_stay(tmp_path):
    path = manifest(tmp_path, PLAIN)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()

    set_suspend(target(path), suspend=True)

    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_link_to_a_manifest_stays_a_link(tmp_path):
    real = manifest(tmp_path, PLAIN, "real.yaml")
    link = tmp_path / "link.yaml"
    link.symlink_to(real)

    set_suspend(target(link), suspend=True)

    assert link.is_symlink()
    assert "suspend: true" in real.read_text()


def test_what_is_not_there_or_cannot_be_parsed_is_said(tmp_path):
    path = manifest(tmp_path, PLAIN)
    broken = manifest(tmp_path, "a: [\n", "broken.yaml")

    with pytest.raises(ReconcilerError, match="There is no TrainJob other"):
        set_suspend(target(path, "other"), suspend=True)
    with pytest.raises(ReconcilerError, match="is gone"):
        set_suspend(target(tmp_path / "none.yaml"), suspend=True)
    with pytest.raises(ReconcilerError, match=r"broken.yaml:2: the file cannot be parsed"):
        set_suspend(target(broken), suspend=True)
    with pytest.raises(StateError, match="Cannot read"):
        set_suspend(target(tmp_path), suspend=True)


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
def test_in_every_layout_either_the_change_is_right_or_it_is_not_proposed(spec, flow, before):
    documents = [{"n": 1}] * before + [{"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": spec}]
    text = yaml.safe_dump_all(documents, default_flow_style=flow)

    splice = set_value(text, Place(document=before), ("spec", "suspend"), True)

    assert splice is not None
    documents[-1]["spec"] = {**spec, "suspend": True}
    assert list(yaml.safe_load_all(splice.apply(text))) == documents
