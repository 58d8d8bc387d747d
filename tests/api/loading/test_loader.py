"""Broken and hostile files: load() reports each fault with its line, and never raises."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.api import check, load
from reconciler.api.loading.loader import MAX_BYTES, MAX_DOCUMENTS
from reconciler.api.loading.yaml_composer import MAX_DEPTH
from tests.api.manifests import API, runtime, trainjob

JOB = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: demo
spec:
  runtimeRef:
    name: torch
  trainer:
    numNodes: 2
    env:
      - name: LR
        value: "0.1"
"""


def _load_one(text):
    (document,) = load(text.encode() if isinstance(text, str) else text, "f.yaml").documents
    return document


def _load_rejected(text):
    result = load(text.encode() if isinstance(text, str) else text, "f.yaml")
    assert result.documents == ()
    (fault,) = result.faults
    return fault


def test_a_manifest_becomes_a_model_with_file_and_line():
    # Act
    found = _load_one("# a comment\n---\n" + JOB)

    # Assert
    assert found.valid
    assert found.model.spec.trainer.num_nodes == 2
    assert found.object == "TrainJob/default/demo"
    assert (found.file, found.line) == ("f.yaml", 3)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("spec.trainer.numNodes", 9),
        ("spec.trainer.env[0]", 11),
        ("spec.trainer.env[0].value", 12),
        ("spec.trainer.image", 8),
        ("spec.initializer.dataset", 5),
        ("status", 1),
        ("", 1),
    ],
)
def test_a_path_has_the_line_of_its_field_or_of_the_nearest_parent(path, line):
    assert _load_one(JOB).line_of(path) == line


def test_json_files_are_read_with_their_lines():
    # Arrange
    text = json.dumps(trainjob(trainer={"numNodes": -1}), indent="\t")

    # Act
    found = _load_one(text)

    # Assert
    (fault,) = found.faults
    assert "numNodes" in text.splitlines()[fault.line - 1]


def test_json_escapes_beyond_the_basic_plane_are_joined():
    text = json.dumps(trainjob(trainer={"command": ["\N{ROCKET}"]}))
    assert "\\ud83d" in text
    assert _load_one(text).model.spec.trainer.command == ("\N{ROCKET}",)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n---\n# x\n...\n", "---\n~\n", "\ufeff"])
def test_empty_documents_are_left_out(text):
    result = load(text.encode(), "f.yaml")
    assert (result.documents, result.faults) == ((), ())


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    found = _load_one(b"\xef\xbb\xbf" + JOB.replace("\n", "\r\n").encode())
    assert found.valid
    assert found.line_of("spec.trainer.numNodes") == 9


def test_a_list_of_objects_is_its_items():
    # Arrange
    text = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "List", "items": [trainjob("a"), runtime(), trainjob("b")]}
    )

    # Act
    documents = load(text.encode(), "f.yaml").documents

    # Assert
    assert [document.name for document in documents] == ["a", "torch", "b"]
    assert [document.line for document in documents] == sorted({document.line for document in documents})
    assert all(document.valid for document in documents)


def test_merge_keys_and_anchors_are_resolved_and_explicit_keys_win():
    # Arrange
    text = (
        JOB
        + "    resourcesPerNode:\n      limits: &r {cpu: 2, memory: 4Gi}\n      requests: {<<: *r, cpu: 1}\n"
    )

    # Act
    resources = _load_one(text).model.spec.trainer.resources_per_node

    # Assert
    assert resources.requests == {"cpu": "1", "memory": "4Gi"}


def test_a_null_field_is_an_absent_one():
    assert _load_one(JOB + "    image: null\n  initializer: ~\n").valid


def test_broken_yaml_is_reported_with_its_line():
    fault = _load_rejected("a: 1\n b: 2\n")
    assert fault.line == 2
    assert "not valid YAML" in fault.message


def test_a_half_written_file_is_reported():
    fault = _load_rejected(JOB[: JOB.index('"0.1"') + 3])
    assert "is the file complete?" in fault.message


def test_a_broken_document_does_not_invalidate_the_others():
    # Act
    result = load(f"{JOB}---\na: [1\n---\n{JOB.replace('demo', 'other')}".encode(), "f.yaml")

    # Assert
    assert [document.name for document in result.documents] == ["demo", "other"]
    assert [document.valid for document in result.documents] == [True, True]
    (fault,) = result.faults
    assert fault.line in (14, 15)


def test_tabs_in_indentation_have_a_remedy():
    assert "use spaces" in _load_rejected("a:\n\tb: 1\n").message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (b"a: 1\nb: \xff\n", 2, "UTF-8"),
        (b"a: 1\n\nb: \x00\n", 3, "U+0000"),
        (b"a: *nowhere\n", 1, "anchor"),
        (b"a: &a [*a]\n", 1, "contains itself"),
        (b"a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        (b"[a]: 1\n", 1, "key"),
        (b"? {a: 1}\n: 1\n", 1, "key"),
        (b"~: 1\n", 1, "key"),
        (b"a: 1\nb: {<<: 3}\n", 2, "<<"),
    ],
)
def test_text_that_is_no_manifest_is_rejected_with_its_line(text, line, said):
    fault = _load_rejected(text)
    assert fault.line == line
    assert said in fault.message


@pytest.mark.parametrize("text", ["[1, 2]", "hello", "42", "- a: 1\n- b: 2\n"])
def test_a_document_that_is_no_object_is_an_error(text):
    found = _load_one(text)
    assert not found.valid
    assert "a manifest is an object" in found.faults[0].message


def test_a_key_given_twice_is_an_error_on_the_second_line():
    # Act
    found = _load_one(JOB.replace("    numNodes: 2\n", "    numNodes: 2\n    numNodes: 3\n"))

    # Assert
    (fault,) = found.faults
    assert (fault.line, fault.path) == (10, "spec.trainer.numNodes")
    assert found.model is None


def test_a_key_given_twice_deep_in_a_list_has_its_path():
    found = _load_one(JOB.replace('value: "0.1"', 'value: "0.1"\n        value: "0.2"'))
    assert [fault.path for fault in found.faults] == ["spec.trainer.env[0].value"]


def _nest_aliases(width, depth):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join(lines)


BOMBS = {
    "billion laughs": _nest_aliases(9, 20),
    "one long string many times": 'a: &a "' + "x" * 1_000_000 + '"\nb: [' + ", ".join(["*a"] * 2000) + "]",
    "many merges": "a: &a {"
    + ", ".join(f"k{i}: 1" for i in range(1000))
    + "}\nb: ["
    + "{<<: *a}," * 900
    + "]",
    "open brackets": "[" * 1_000_000,
    "open braces": '{"a":' * 1_000_000,
    "nested blocks": "\n".join(" " * i + "a:" for i in range(1500)),
    "nested sequences": "- " * 200_000,
    "questions": "? " * 200_000,
    "too many values": "[" + "1," * 3_000_000 + "1]",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=list(BOMBS))
def test_expansion_bombs_are_rejected_quickly(text):
    # Act
    began = time.process_time()
    fault = _load_rejected(text)
    took = time.process_time() - began

    # Assert
    assert "expand" in fault.message or "deeper" in fault.message or "values" in fault.message
    assert took < 3


def test_a_file_of_50_mb_is_rejected_by_its_size():
    # Act
    began = time.process_time()
    fault = _load_rejected(b"[" * 50_000_000)
    took = time.process_time() - began

    # Assert
    assert f"{MAX_BYTES:,}" in fault.message
    assert took < 0.1


def test_depth_up_to_the_limit_is_fine():
    assert load(("[" * MAX_DEPTH + "]" * MAX_DEPTH).encode(), "f").faults == ()
    assert load(("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).encode(), "f").faults != ()


def test_documents_above_the_limit_are_reported_and_left_out():
    # Act
    result = load("---\n".join([JOB] * (MAX_DOCUMENTS + 5)).encode(), "f.yaml")

    # Assert
    assert len(result.documents) == MAX_DOCUMENTS
    (fault,) = result.faults
    assert "1,000 documents" in fault.message


@pytest.mark.parametrize("filler", ["\n", " \n", "---\n", "# x\n"])
def test_a_large_file_of_empty_documents_is_read_quickly(filler):
    # Act
    began = time.process_time()
    result = load((filler * (MAX_BYTES // len(filler))).encode(), "f.yaml")
    took = time.process_time() - began

    # Assert
    assert result.documents == ()
    assert took < 5


def test_a_thousand_small_manifests_load_in_about_a_second():
    # Arrange
    texts = [JOB.replace("demo", f"job-{i}").encode() for i in range(1000)]
    load(texts[0], "warm")

    # Act
    began = time.process_time()
    found = [load(text, "f").documents[0] for text in texts]
    took = time.process_time() - began

    # Assert
    assert all(document.valid for document in found)
    assert took < 3


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(text):
    load(text, "f")


_yaml_text = st.text(alphabet=st.sampled_from("ab:-?[]{}&*!|>'\"#%@,\n\t 01~<.=\\"), max_size=120)


@settings(max_examples=500, deadline=None)
@given(_yaml_text)
def test_no_yaml_like_text_makes_it_raise(text):
    result = load(text.encode(), "f")
    assert all(1 <= fault.line <= text.count("\n") + 2 for fault in result.faults)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_POD = ("spec", "template", "spec", "replicatedJobs", 0, "template", "spec", "template", "spec")
_PATHS = [
    ("spec",),
    ("metadata",),
    ("metadata", "labels"),
    ("spec", "trainer"),
    ("spec", "trainer", "env"),
    ("spec", "trainer", "resourcesPerNode"),
    ("spec", "runtimePatches"),
    ("kind",),
    ("apiVersion",),
    ("spec", "mlPolicy"),
    ("spec", "template"),
    ("spec", "template", "spec", "replicatedJobs"),
    ("spec", "template", "spec", "failurePolicy"),
    _POD,
    (*_POD, "containers"),
    (*_POD, "containers", 0, "env"),
    (*_POD, "volumes"),
]


def _with(obj, path, value):
    """``obj`` with ``value`` at ``path``, where there is such a path."""
    *parents, last = path
    target = obj
    for part in parents:
        if isinstance(part, str):
            target = target.setdefault(part, {})
        elif target:
            target = target[part]
        else:
            return obj
    target[last] = value
    return obj


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_PATHS), _values)
def test_no_value_anywhere_makes_loading_or_checking_raise(path, value):
    # Arrange
    objects = [_with(obj, path, value) for obj in (trainjob(trainer={"numNodes": 1}), runtime())]

    # Act
    documents = [document for obj in objects for document in load(json.dumps(obj).encode(), "f").documents]
    check([*documents, *load(json.dumps(trainjob("other")).encode(), "g").documents])

    # Assert
    known = [document for document in documents if document.raw == objects[0] and document.kind == "TrainJob"]
    assert all(
        document.valid == (document.model is not None)
        for document in known
        if document.raw.get("apiVersion") == API
    )


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(min_value=-(2**63), max_value=2**63 - 1) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), _plain, max_size=4))
def test_json_text_is_read_as_json_is(value):
    # Act
    result = load(json.dumps({"kind": "X", "apiVersion": "y/v1", "x": value}).encode(), "f")

    # Assert
    if not result.faults:
        assert result.documents[0].raw["x"] == value
