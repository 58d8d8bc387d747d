"""What users get wrong, and what goes wrong around them: a clear word, no traceback, nothing else harmed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell, trainjob
from tests.support.proxies import FaultyEngine
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

HALF_WRITTEN = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata:\n  name: demo\nspec:\n  runtimeRef: {name: 'r"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
)
DUPLICATE_KEYS = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: demo
spec:
  runtimeRef: {name: rt}
  suspend: true
  suspend: false
"""
UNFIT_NAME = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: 2_Demo.
spec:
  runtimeRef: {name: rt}
"""

#: What is in the file, and words of the message (letter case aside).
BAD_FILES = {
    "half-written": (HALF_WRITTEN, ("yaml",)),
    "invalid-yaml": ("kind: TrainJob\n  metadata: [unclosed\n", ("yaml",)),
    "not-text": (b"\x00\xff\xfe\x80 binary", ()),
    "billion-laughs": (LAUGHS, ("alias",)),
    "fifty-megabytes": (b"# filler\n" * (50 * 1024 * 1024 // 9), ("bytes", "split")),
    "duplicate-keys": (DUPLICATE_KEYS, ("suspend", "duplicate")),
    "unfit-name": (UNFIT_NAME, ("metadata.name", "1035")),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_validate_names_file_and_fault(processes: Workspace, case: str) -> None:
    content, words = BAD_FILES[case]
    path = processes.write("bad.yaml", content)

    done = processes.cli("validate", str(path), timeout=30)

    assert done.returncode == 1
    assert "bad.yaml:" in done.stdout + done.stderr
    for word in words:
        assert word in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_reported_and_harms_no_other(processes: Workspace, case: str) -> None:
    good = unique("good")
    processes.write("bad.yaml", BAD_FILES[case][0])
    processes.write("good.yaml", runtime("rt", "ignored"), shell(good, "rt", "echo fine"))

    done = processes.cli("run", "--wait", timeout=90)

    assert processes.phase(good) == "Complete", done.stderr[-3000:]
    assert processes.log(good, 0) == "fine\n"
    assert done.returncode == 1
    sidecars = "".join(path.read_text() for path in processes.specs.rglob("*.status.yaml"))
    assert "bad.yaml" in done.stdout + done.stderr + sidecars


@pytest.mark.parametrize("case", ["half-written", "invalid-yaml", "duplicate-keys"])
def test_a_manifest_that_stops_parsing_changes_nothing(processes: Workspace, case: str) -> None:
    job = unique("keeps")
    flag = processes.root / "flag"
    processes.write("rt.yaml", runtime("rt", "ignored"))
    processes.write("j.yaml", shell(job, "rt", f"while [ ! -e {flag} ]; do sleep 0.1; done; echo ended"))
    with processes.daemon():
        before = processes.until_phase(job, "Running")["nodes"]

        processes.write("j.yaml", BAD_FILES[case][0])
        processes.write("other.yaml", shell(f"{job}-2", "rt", "echo the daemon has seen the folder again"))
        processes.until_phase(f"{job}-2", "Complete")

        assert processes.phase(job) == "Running"
        flag.touch()
        status = processes.until_phase(job, "Complete")

    assert [n["containerID"] for n in status["nodes"]] == [n["containerID"] for n in before]


def test_two_files_with_the_same_job_start_neither(processes: Workspace) -> None:
    job = unique("twice")
    processes.write("rt.yaml", runtime("rt", "ignored"))
    processes.write("a.yaml", shell(job, "rt", "echo a"))
    processes.write("b.yaml", shell(job, "rt", "echo b"))

    validated = processes.cli("validate", str(processes.specs))
    done = processes.cli("run", "--wait", timeout=60)

    assert validated.returncode == 1
    assert "a.yaml" in validated.stdout
    assert "b.yaml" in validated.stdout
    assert done.returncode == 1
    assert processes.log(job, 0) == ""


def test_a_second_definition_does_not_disturb_a_running_job(processes: Workspace) -> None:
    job = unique("first")
    flag = processes.root / "flag"
    processes.write("rt.yaml", runtime("rt", "ignored"))
    processes.write("a.yaml", shell(job, "rt", f"while [ ! -e {flag} ]; do sleep 0.1; done"))
    with processes.daemon():
        before = processes.until_phase(job, "Running")["nodes"]

        processes.write("b.yaml", shell(job, "rt", "echo another"))
        processes.write("c.yaml", shell(f"{job}-2", "rt", "true"))
        processes.until_phase(f"{job}-2", "Complete")
        flag.touch()
        eventually(lambda: processes.status(job).get("nodes", [{}])[0].get("exitCode") == 0, "job a ends")

        assert processes.status(job)["nodes"][0]["containerID"] == before[0]["containerID"]


@pytest.mark.one_engine
def test_a_job_waits_for_its_runtime(workspace: Workspace) -> None:
    job = unique("early")
    workspace.write("j.yaml", shell(job, "late-runtime", "echo started"))
    with workspace.daemon():
        workspace.until_phase(job, "Pending")
        assert "late-runtime" in workspace.said(job)

        workspace.write("rt.yaml", runtime("late-runtime", images.reference()))
        workspace.until_phase(job, "Complete")

    assert workspace.log(job, 0) == "started\n"


def test_a_runtime_that_is_wrong_is_not_called_missing(processes: Workspace) -> None:
    job = unique("wrong")
    wrong = runtime("wrong-runtime", images.reference(), pod={"noSuchField": 1})
    processes.write("rt.yaml", wrong)
    processes.write("j.yaml", shell(job, "wrong-runtime", "true"))

    processes.cli("run", "--once")

    assert processes.phase(job) == "Pending"
    message = processes.status(job)["message"]
    assert "is not valid itself; fix it first" in message
    assert "is not there" not in message


@pytest.mark.one_engine
def test_a_missing_image_under_never_is_said(containers: Workspace) -> None:
    job = unique("noimage")
    containers.settings["PULL_POLICY"] = "Never"
    containers.write("j.yaml", runtime("rt", "localhost/no-such-image:1"), shell(job, "rt", "true"))
    with containers.daemon():
        eventually(lambda: "localhost/no-such-image:1" in containers.said(job), "the image is named")

        assert "Never" in containers.said(job)
        assert containers.phase(job) not in {"Running", "Complete"}
        assert containers.containers(job) == []


@pytest.mark.one_engine
def test_a_command_that_does_not_exist_is_said(workspace: Workspace) -> None:
    job = unique("nocmd")
    workspace.write("j.yaml", runtime("rt", images.reference()), trainjob(job, "rt", "no-such-program"))

    done = workspace.cli("run", "--wait")

    assert done.returncode == 1
    assert workspace.phase(job) == "Failed"
    assert "no-such-program" in workspace.said(job)


def test_a_folder_that_is_missing_is_said(processes: Workspace) -> None:
    done = processes.cli("run", "--once", "--specs", str(processes.root / "nowhere"))

    assert done.returncode != 0
    assert "nowhere" in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes from root the right to read all")
def test_an_unreadable_folder_is_said_and_prunes_nothing(processes: Workspace) -> None:
    job = unique("locked")
    processes.write("sub/j.yaml", runtime("rt", "ignored"), shell(job, "rt", "exec sleep 600"))
    with processes.daemon():
        before = processes.until_phase(job, "Running")["nodes"]
    folder = processes.specs / "sub"
    folder.chmod(0)
    try:
        done = subprocess.run(
            [
                "setpriv", "--bounding-set=-dac_override,-dac_read_search",
                sys.executable, "-m", "reconciler", "run", "--once", "--allow-empty",
            ],
            env=processes.environment, cwd=processes.root, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    finally:
        folder.chmod(0o755)

    said = done.stdout + done.stderr
    assert "sub" in said
    assert "ermission" in said
    assert "Traceback" not in said
    with processes.daemon():
        eventually(lambda: processes.phase(job) == "Running", "still running")
        assert processes.status(job)["nodes"][0]["containerID"] == before[0]["containerID"]


@pytest.mark.one_engine
def test_a_foreign_network_of_the_same_name_is_left_alone(containers: Workspace) -> None:
    job = unique("netclash")
    with containers.api() as client:
        network = client.networks.create(f"{job}-net", labels={"owner": "somebody"})
        try:
            containers.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))
            with containers.daemon():
                eventually(lambda: f"{job}-net" in containers.said(job), "the network is named")
                assert containers.phase(job) not in {"Running", "Complete"}

            assert client.networks.get(network.id).attrs["Labels"] == {"owner": "somebody"}
            assert containers.containers(job) == []
        finally:
            network.remove()


def test_a_foreign_container_of_the_same_name_is_left_alone(containers: Workspace) -> None:
    job = unique("clash")
    with containers.api() as client:
        foreign = client.containers.create(
            images.reference(), ["sleep", "600"], name=f"{job}-node-0", labels={"owner": "somebody"}
        )
        try:
            containers.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))
            with containers.daemon():
                eventually(lambda: f"{job}-node-0" in containers.said(job), "the container is named")
                assert containers.phase(job) not in {"Running", "Complete"}

            assert client.api.inspect_container(foreign.id)["State"]["Status"] == "created"
            foreign.remove(force=True)
            with containers.daemon():
                containers.until_phase(job, "Complete", seconds=90)
        finally:
            for left in client.api.containers(all=True, filters={"label": "owner=somebody"}):
                if f"/{job}-node-0" in left["Names"]:
                    client.api.remove_container(left["Id"], force=True)


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_an_engine_gone_in_mid_create_is_waited_for(
    make_workspace: Any, faulty_engine: FaultyEngine, engine: str
) -> None:
    workspace = make_workspace(engine)
    job = unique("cut")
    seen = workspace.root / "seen"
    seen.mkdir()
    rt = runtime(
        "rt",
        images.reference(),
        container={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
        pod={"volumes": [{"name": "w", "hostPath": {"path": str(seen)}}]},
    )
    script = f"while [ ! -e /w/{job} ]; do sleep 0.1; done; echo ended"
    workspace.write("j.yaml", rt, shell(job, "rt", script, numNodes=4))
    between = faulty_engine(workspace)
    between.cut_at("/containers/create", nth=2)
    with workspace.daemon() as daemon:
        assert between.was_cut.wait(60), daemon.text()
        eventually(lambda: '"level": "warning"' in daemon.text(), "the daemon tells of it")
        assert daemon.process.poll() is None
        between.mend()
        workspace.until_phase(job, "Running", seconds=120)
        eventually(lambda: len(workspace.containers(job)) == 4, "all nodes are made")
        containers = workspace.containers(job)
        (seen / job).touch()
        workspace.until_phase(job, "Complete", seconds=90)

    assert [c["Name"].lstrip("/") for c in containers] == [f"{job}-node-{rank}" for rank in range(4)]
    assert [workspace.log(job, rank) for rank in range(4)] == ["ended\n"] * 4


def test_an_engine_that_never_answers_is_said_with_what_to_do(make_workspace: Any, tmp_path: Path) -> None:
    workspace = make_workspace("podman", url=f"unix://{tmp_path}/none.sock")
    job = unique("nobody")
    workspace.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))
    workspace.engine, workspace.settings["ENGINE"] = "process", "podman"

    with workspace.daemon() as daemon:
        eventually(lambda: "none.sock" in daemon.text(), "the address is named")
        assert daemon.process.poll() is None


def test_json_of_validate_is_for_scripts(processes: Workspace) -> None:
    path = processes.write("bad.yaml", UNFIT_NAME)

    done = processes.cli("validate", str(path), "-o", "json")

    (error,) = json.loads(done.stdout)["errors"]
    assert error["path"] == "metadata.name"
    assert error["line"] == 4
    assert Path(error["file"]).name == "bad.yaml"
