"""Jobs use a canary secret in every possible way; no output may contain it."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.api import load
from tests.support import images
from tests.support.manifests import runtime, shell, trainjob
from tests.support.workspaces import Workspace, eventually, unique

CANARY = "canary-7d20e6-secret"

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "stringData": {"value": CANARY, "file": f"first line\n{CANARY}\n"},
}
FROM_SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}}


def parts() -> dict[str, Any]:
    """Parts of a runtime that use the secret as a variable, as all variables, and as files."""
    return {
        "container": {
            "env": [FROM_SECRET, {"name": "URL", "value": "https://u:$(TOKEN)@example.com"}],
            "envFrom": [{"secretRef": {"name": "token"}, "prefix": "ALL_"}],
            "volumeMounts": [{"name": "s", "mountPath": "/s"}],
        },
        "pod": {"volumes": [{"name": "s", "secret": {"secretName": "token"}}]},
    }


def command_outputs(workspace: Workspace, job: str) -> dict[str, str]:
    """Returns what each command prints."""
    commands = (
        ("get", "jobs", "-o", "yaml"),
        ("get", "jobs", "-o", "wide"),
        ("get", "nodes", "-o", "json"),
        ("describe", job),
        ("plan", str(workspace.specs), "-o", "json"),
        ("validate", str(workspace.specs)),
        ("diff",),
    )
    shown = {}
    for command in commands:
        done = workspace.cli(*command)
        shown[" ".join(command)] = done.stdout + done.stderr
    return shown


@pytest.mark.one_engine
@pytest.mark.parametrize("engine", ["podman", "docker", "process"])
def test_no_output_contains_a_secret(make_workspace: Any, engine: str) -> None:
    workspace = make_workspace(engine)
    workspace.settings["LOG_LEVEL"] = "debug"
    prints, missing = unique("prints"), unique("missing")
    rt = runtime("rt", images.reference(), **parts())
    script = "cat /s/file; echo $TOKEN $URL; exit 3" if engine != "process" else "echo $TOKEN $URL; exit 3"
    workspace.write("secret.yaml", SECRET)
    # One prints it and fails, so that its last output is shown; the engine quotes the other's command.
    workspace.write(
        "j.yaml", rt, shell(prints, "rt", script), trainjob(missing, "rt", "/no/such/$(TOKEN)", "$(URL)")
    )
    with workspace.daemon() as daemon:
        for job in (prints, missing):
            workspace.until_phase(job, "Failed", seconds=90)
        log = daemon.text()

    assert CANARY in workspace.log(prints, 0), "the kept log is what the program printed"
    assert "****" in json.dumps(workspace.status(prints)), "its last output is shown, masked"
    found = {"daemon log": log}
    if engine == "podman":
        # What the commands print does not depend on the engine.
        found |= command_outputs(workspace, prints)
    found |= {str(p): p.read_text() for p in workspace.specs.glob("*.status.yaml")}
    records = workspace.root / "state" / "reconciler" / "records"
    found |= {str(p): p.read_text(errors="replace") for p in records.rglob("*.json")}
    assert [name for name, text in found.items() if CANARY in text] == []
    encoded = base64.b64encode(CANARY.encode()).decode()
    assert [name for name, text in found.items() if encoded in text] == []


#: Reports the secret as a metric's name and as its value.
REPORTS = """
import json, os, ssl, urllib.request
metrics = [{"name": os.environ["TOKEN"], "value": "0.5"}, {"name": "loss", "value": os.environ["TOKEN"] + "!"}]
status = {"progressPercentage": 40, "metrics": metrics, "lastUpdatedTime": "2026-01-02T03:04:05Z"}
request = urllib.request.Request(
    os.environ["KUBEFLOW_TRAINER_SERVER_URL"],
    data=json.dumps({"trainerStatus": status}).encode(),
    headers={"Authorization": "Bearer " + open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read()},
)
trusted = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
urllib.request.urlopen(request, context=trusted, timeout=20)
"""


def test_secret_in_a_progress_report_is_masked(processes: Workspace) -> None:
    job = unique("reports")
    rt = runtime("rt", images.reference(), container={"env": [FROM_SECRET]})
    processes.write("secret.yaml", SECRET)
    processes.write("j.yaml", rt, trainjob(job, "rt", "python3", "-c", REPORTS))

    done = processes.cli("run", "--wait")

    assert done.returncode == 0, processes.log(job, 0)
    shown = {**command_outputs(processes, job), "status": json.dumps(processes.status(job))}
    assert [name for name, text in shown.items() if CANARY in text] == []
    assert processes.status(job)["trainerStatus"]["metrics"] == [
        {"name": "****", "value": "0.5"},
        {"name": "loss", "value": "****!"},
    ]
    records = [
        path.read_text() for path in (processes.root / "state" / "reconciler" / "records").rglob("*.json")
    ]
    assert records
    assert not any(CANARY in text for text in records)


def test_process_list_does_not_contain_a_secret(make_workspace: Any) -> None:
    workspace = make_workspace("process")
    job = unique("ps")
    flag = workspace.root / "go"
    rt = runtime("rt", images.reference(), container={"env": [FROM_SECRET]})
    workspace.write("secret.yaml", SECRET)
    workspace.write("j.yaml", rt, shell(job, "rt", f"while [ ! -e {flag} ]; do sleep 0.1; done"))
    with workspace.daemon():
        workspace.until_phase(job, "Running")

        listed = subprocess.run(
            ["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True
        ).stdout
        flag.touch()
        workspace.until_phase(job, "Complete")

    assert str(flag) in listed
    assert CANARY not in listed


def test_files_on_disk_are_readable_by_their_owner_only(make_workspace: Any) -> None:
    workspace = make_workspace("podman")
    job = unique("modes")
    flags = workspace.root / "flags"
    flags.mkdir()
    wanted = parts()
    wanted["pod"]["volumes"].append({"name": "f", "hostPath": {"path": str(flags)}})
    wanted["container"]["volumeMounts"].append({"name": "f", "mountPath": "/f"})
    workspace.write("secret.yaml", SECRET)
    rt = runtime("rt", images.reference(), **wanted)
    workspace.write("j.yaml", rt, shell(job, "rt", "while [ ! -e /f/go ]; do sleep 0.1; done"))
    with workspace.daemon():
        workspace.until_phase(job, "Running", seconds=90)
        state = workspace.root / "state" / "reconciler"
        open_to_others = [
            str(path.relative_to(state))
            for path in readable_by_others(state)
            if not path.is_relative_to(state / "process")
        ]
        (flags / "go").touch()
        workspace.until_phase(job, "Complete", seconds=90)

    assert open_to_others == []


def readable_by_others(folder: Path) -> list[Path]:
    """Returns the files below ``folder`` that another user could open."""
    found: list[Path] = []
    for path in folder.iterdir():
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_dir() and not path.is_symlink():
            if mode & 0o001:
                found += readable_by_others(path)
        elif mode & 0o004:
            found.append(path)
    return found


BROKEN = {
    "a value that is no text": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: [CANARY]}\n",
    "data that is no mapping": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: CANARY\n",
    "an unknown field": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringdata: {a: CANARY}\n",
    "a number": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: 4711815.5}\n",
    "a broken line": "apiVersion: v1\nkind: Secret\nstringData:\n  a: 'CANARY\n  b: CANARY: x\n",
    "a bad escape": 'apiVersion: v1\nkind: Secret\nstringData:\n  a: "CANARY\\q"\n',
    "a tab": "apiVersion: v1\nkind: Secret\nstringData:\n\ta: CANARY\n",
    "a tag": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: !!int CANARY}\n",
    "a binary tag": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: !!binary CANARY}\n",
    "immutable that is text": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nimmutable: CANARY\n",
    "an annotation that is a list": (
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  annotations: {last-applied: [CANARY]}\n"
    ),
    "a file that is no manifest": "CANARY\n",
    "JSON cut off": '{"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "CANARY"',
    "twice the same key": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: CANARY, a: CANARY}\n",
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_fault_in_a_secret_does_not_quote_it(fault: str) -> None:
    text = BROKEN[fault].replace("CANARY", CANARY)

    loaded = load(text, "secret.yaml")

    said = [str(f) for f in (*loaded.faults, *(f for d in loaded.documents for f in d.faults))]
    assert said
    assert CANARY not in "\n".join(said)
    assert "4711815" not in "\n".join(said)


def test_registry_credentials_are_not_shown(processes: Workspace) -> None:
    # The process engine needs no image: the Secret itself is what is read.
    config = json.dumps({"auths": {"registry.invalid": {"auth": f"not-base64-{CANARY}"}}})
    secret = {**SECRET, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config}}
    job = unique("pull")
    rt = runtime("rt", "registry.invalid/x", pod={"imagePullSecrets": [{"name": "token"}]})
    processes.write("j.yaml", secret, rt, shell(job, "rt", "true"))

    with processes.daemon() as daemon:
        eventually(lambda: processes.status(job), "the job has a status")
        processes.until_phase(job, "Complete", "Failed", "Pending")
        said = daemon.text()

    assert CANARY not in said + json.dumps(processes.status(job), default=str)
