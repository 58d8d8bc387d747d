"""Text from outside that is no Unicode: refused or escaped where it comes in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import runtime, trainjob
from tests.support.workspaces import PYTHON, Workspace, eventually

#: A name that is Latin-1, as archives from elsewhere leave it.
NAME = b"caf\xe9".decode(errors="surrogateescape")

REPORT = """
import json, os, ssl, sys, urllib.request, urllib.error
def report(metrics):
    body = json.dumps({"trainerStatus": {"lastUpdatedTime": "2026-01-01T00:00:00Z", "metrics": metrics}})
    token = open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read()
    context = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
    request = urllib.request.Request(
        os.environ["KUBEFLOW_TRAINER_SERVER_URL"], body.encode(), {"Authorization": "Bearer " + token}, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        return opener.open(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code
for name, value in (("\\ud800", "1"), ("x", "\\udfff"), ("nul\\0", "1"), ("good", "1")):
    print("answer", report([{"name": name, "value": value}]), flush=True)
"""


def test_a_metric_that_is_no_text_is_refused_and_the_job_goes_on(processes: Workspace) -> None:
    script = processes.root / "report.py"
    script.write_text(REPORT)
    processes.settings["PROGRESS_SERVER"] = "true"
    processes.write("runtime.yaml", runtime("plain", "none"))
    processes.write("job.yaml", trainjob("job", "plain", sys.executable, str(script)))

    with processes.daemon() as daemon:
        processes.until_phase("job", "Complete")
        eventually(lambda: processes.log("job", 0).count("answer") == 4, "its log is kept")
        assert processes.log("job", 0).split() == [
            "answer",
            "422",
            "answer",
            "422",
            "answer",
            "200",
            "answer",
            "200",
        ]
        assert "internal error" not in daemon.text()


def test_names_that_are_no_text_are_faults_of_their_files(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    processes.write(f"{NAME}.yaml", trainjob("file", "plain", "true"))
    processes.write(f"{NAME}/job.yaml", trainjob("folder", "plain", "true"))
    (processes.specs / "dangling.yaml").symlink_to(f"{NAME}-none")

    with processes.daemon() as daemon:
        processes.write("good.yaml", trainjob("good", "plain", "true"))
        processes.until_phase("good", "Complete")
        eventually(lambda: daemon.text().count("its name is not UTF-8 text") >= 2, "both are reported")
        assert "internal error" not in daemon.text()
        shown = processes.cli("get", "jobs")
        assert "good" in shown.stdout
    done = processes.cli("validate", str(processes.specs))
    assert done.returncode != 0
    assert r"caf\xe9.yaml:0: its name is not UTF-8 text; rename it" in done.stdout + done.stderr
    assert r"caf\xe9:0: its name is not UTF-8 text; rename it" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--once", "--specs", NAME),
        ("run", "--once", "--state-dir", NAME),
        ("get", "jobs", NAME),
        ("validate", NAME),
        ("validate", f"{NAME}.yaml"),
        ("logs", NAME),
        ("run", "--once", "--config", NAME),
        ("run", "--once", "--env-file", NAME),
        ("validate", "--runtime-source", f"file:///{NAME}"),
    ],
    ids=lambda arguments: " ".join(arguments).encode(errors="replace").decode(),
)
def test_arguments_that_are_no_text_are_answered_with_a_sentence(
    processes: Workspace, arguments: tuple[str, ...]
) -> None:
    done = processes.cli(*arguments)

    assert done.returncode != 0
    assert (done.stdout + done.stderr).strip()


def test_variables_and_the_current_folder_may_be_no_text(processes: Workspace) -> None:
    processes.settings["LOG_DIR"] = f"/tmp/{NAME}"
    done = processes.cli("run", "--once")
    assert done.returncode != 0
    assert "RECONCILER_LOG_DIR" in done.stderr
    assert "is not UTF-8 text" in done.stderr

    del processes.settings["LOG_DIR"]
    folder = processes.root / NAME / "specs"
    folder.mkdir(parents=True)
    environment = {k: v for k, v in processes.environment.items() if k != "RECONCILER_SPECS"}
    found = subprocess.run(
        [PYTHON, "-m", "reconciler", "run", "--once"],
        cwd=folder.parent, env=environment, capture_output=True, text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode != 0
    assert "Traceback" not in found.stderr
    assert "is not UTF-8 text" in found.stderr


MANIFESTS = {
    "json-surrogate": '{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": "bad"}, '
    '"spec": {"runtimeRef": {"name": "plain"}, "trainer": {"command": ["echo", "\\ud800"]}}}',
    "yaml-surrogate": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: plain}, trainer: {command: [echo, "\\ud800"]}}\n',
    "nul-command": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: plain}, trainer: {command: [echo, "a\\0b"]}}\n',
    "nul-variable": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: plain}, trainer: {command: ["true"], env: [{name: "A", value: "a\\0b"}]}}\n',
    "nul-variable-name": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: plain}, trainer: {command: ["true"], env: [{name: "A\\0", value: "b"}]}}\n',
    "nul-annotation": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n"
    'metadata: {name: bad, annotations: {"a": "b\\0\\x85\\u202e"}}\n'
    'spec: {runtimeRef: {name: plain}, trainer: {command: ["true"]}}\n',
    "nul-image": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: plain}, trainer: {image: "a\\0b", command: ["true"]}}\n',
    "nul-runtime": "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: bad}\n"
    'spec: {runtimeRef: {name: "plain\\0"}, trainer: {command: ["true"]}}\n',
}


def with_nul(field: str) -> str:
    """A runtime with a zero byte in a field of its pod."""
    pod = {
        "hostPath": {"volumes": [{"name": "v", "hostPath": {"path": "/tmp/a\0b"}}]},
        "mountPath": {"volumes": [{"name": "v", "emptyDir": {}}]},
        "workingDir": {},
        "subPath": {"volumes": [{"name": "v", "emptyDir": {}}]},
    }[field]
    mount = {"name": "v", "mountPath": "/a\0b" if field == "mountPath" else "/data"}
    container: dict[str, object] = {"volumeMounts": [mount]} if "volumes" in pod else {"workingDir": "/a\0b"}
    if field == "subPath":
        mount["subPath"] = "a\0b"
    return str(yaml.safe_dump(runtime(f"rt-{field.lower()}", "none", pod=pod, container=container)))


def test_escapes_in_manifests_are_faults_or_harmless(processes: Workspace) -> None:
    processes.write("runtime.yaml", runtime("plain", "none"))
    for name, text in MANIFESTS.items():
        suffix = "json" if name.startswith("json") else "yaml"
        processes.write(
            f"{name}.{suffix}", text.replace('"bad"', f'"{name}"').replace("name: bad", f"name: {name}")
        )
    for field in ("hostPath", "mountPath", "workingDir", "subPath"):
        processes.write(f"rt-{field.lower()}.yaml", with_nul(field))
        processes.write(
            f"nul-{field.lower()}.yaml", trainjob(f"nul-{field.lower()}", f"rt-{field.lower()}", "true")
        )

    with processes.daemon() as daemon:
        processes.write("good.yaml", trainjob("good", "plain", "true"))
        processes.until_phase("good", "Complete")
        for name in [
            *list(MANIFESTS)[2:],
            *(f"nul-{f.lower()}" for f in ("hostPath", "mountPath", "workingDir", "subPath")),
        ]:
            eventually(
                lambda name=name: processes.phase(name) in {"Complete", "Failed", "Invalid", "Pending"}, name
            )
        assert "internal error" not in daemon.text(), daemon.text()[-3000:]
    for command in ("validate", "plan"):
        processes.cli(command, str(processes.specs))


def test_a_file_of_a_repository_whose_name_is_no_text_is_a_fault(processes: Workspace) -> None:
    repository = processes.root / "repository"
    environment = os.environ | {"HOME": str(processes.root), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str | bytes) -> None:
        subprocess.run(
            ["git", "-C", str(repository), *words], env=environment, check=True, capture_output=True
        )

    repository.mkdir()
    git("init", "-q", "-b", "main")
    processes.write("runtime.yaml", runtime("plain", "none"))
    job = processes.write("job.yaml", trainjob("job", "plain", "true"))
    for name in ("job.yaml", f"{NAME}.yaml"):
        Path(repository, name).write_bytes(
            job.read_bytes().replace(
                b"name: job", f"name: {'job' if name == 'job.yaml' else 'other'}".encode()
            )
        )
    Path(repository, "runtime.yaml").write_bytes((processes.specs / "runtime.yaml").read_bytes())
    git("add", "-A")
    message = b"caf\xe9 \xff"
    git("-c", "user.name=caf\udce9", "-c", "user.email=a@b", "commit", "-q", "-m", message)

    done = processes.cli("validate", "--git", f"file://{repository}", timeout=60)

    assert done.returncode != 0
    assert r"caf\xe9.yaml" in done.stdout + done.stderr
    assert "its name is not UTF-8 text" in done.stdout + done.stderr
