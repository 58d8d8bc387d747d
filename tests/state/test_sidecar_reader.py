"""Reading sidecars: leniently, and never at the cost of the others."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from reconciler.state import sidecar_reader
from reconciler.state.sidecar_reader import SidecarReader, read_sidecar
from reconciler.state.timestamps import parse_time

DOCUMENT = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: demo, namespace: default, creationTimestamp: 2026-01-01T00:00:00Z}
status:
  phase: Failed
  attempt: 2
  conditions:
  - {type: Suspended, status: 'False', message: resumed}
  - {type: Failed, status: 'True', message: it broke, lastTransitionTime: 2026-01-01T00:01:00Z}
  nodes:
  - {rank: 1, name: demo-node-1, state: exited, exitCode: 0, devices: [nvidia.com/gpu=1]}
  - {rank: null, name: demo-init, state: running, devices: {nvidia.com/gpu: ['0', '1']}}
  - {rank: 0, name: demo-node-0, state: exited, exitCode: 1, startedAt: 2026-01-01T00:00:10Z}
"""


def test_every_field_is_read_and_times_stay_text(tmp_path):
    path = tmp_path / "job.status.yaml"
    path.write_text(DOCUMENT)

    (status,) = read_sidecar(path)

    assert (status.key, status.phase, status.attempt) == ("default/demo", "Failed", 2)
    assert status.message == "it broke"
    assert status.metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert status.started_at == parse_time("2026-01-01T00:00:10Z")
    assert status.finished_at == parse_time("2026-01-01T00:01:00Z")
    assert [node.rank for node in status.nodes] == [0, 1, None]
    assert [node.ready for node in status.nodes] == [False, True, True]
    assert [node.devices for node in status.nodes] == ["", "nvidia.com/gpu=1", "nvidia.com/gpu=0,1"]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "phase", "nodes", "conditions", "rank", "name"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(status=junk, metadata=junk)
def test_a_malformed_document_reads_as_empty(status, metadata):
    found = sidecar_reader.ObjectStatus(
        kind="TrainJob",
        namespace="n",
        name="j",
        file=sidecar_reader.Path(),
        written_at=0.0,
        raw={"status": status, "metadata": metadata},
    )

    for name in (
        "phase",
        "attempt",
        "nodes",
        "events",
        "errors",
        "message",
        "started_at",
        "finished_at",
        "created_at",
    ):
        getattr(found, name)


def test_a_broken_file_is_a_problem_beside_the_others(tmp_path):
    (tmp_path / "good.status.yaml").write_text(DOCUMENT)
    (tmp_path / "bad.status.yaml").write_text("a: [\n")
    (tmp_path / ".hidden.status.yaml").write_text("a: [\n")

    found = SidecarReader(tmp_path).read()

    assert list(found.jobs()) == ["default/demo"]
    assert [problem.file.name for problem in found.problems] == ["bad.status.yaml"]


def test_of_two_sidecars_for_a_job_the_newest_counts(tmp_path):
    for age, phase in ((10, "Failed"), (1000, "Running")):
        path = tmp_path / str(age) / "job.status.yaml"
        path.parent.mkdir()
        path.write_text(DOCUMENT.replace("phase: Failed", f"phase: {phase}"))
        os.utime(path, (1_000_000 - age, 1_000_000 - age))

    assert SidecarReader(tmp_path).read().jobs()["default/demo"].phase == "Failed"


def test_an_unchanged_file_is_not_parsed_again(tmp_path, monkeypatch):
    path = tmp_path / "job.status.yaml"
    path.write_text(DOCUMENT)
    reader = SidecarReader(tmp_path)
    first = reader.read().objects[0]

    assert reader.read().objects[0] is first

    replacement = tmp_path / "new"
    replacement.write_text(DOCUMENT.replace("attempt: 2", "attempt: 3"))
    replacement.replace(path)
    assert reader.read().objects[0].attempt == 3


def test_links_that_form_a_loop_are_followed_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "job.status.yaml").write_text(DOCUMENT)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)

    assert len(SidecarReader(tmp_path).read().objects) == 1


def test_a_folder_that_is_not_there_has_no_sidecars(tmp_path):
    assert SidecarReader(tmp_path / "none").read().objects == ()
