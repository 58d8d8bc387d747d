"""A command that fails at once is Failed soon, and the condition says with which words."""

from __future__ import annotations

import json

from tests.support.manifests import trainjob
from tests.support.workspaces import Workspace, unique

SCRIPT = 'echo preparing; echo "token $TOKEN"; echo "no such dataset" >&2; exit 3'


def test_the_built_in_runtime_gives_up_soon_and_shows_the_last_lines(processes: Workspace) -> None:
    job = unique("fails")
    ref = {"secretKeyRef": {"name": "hush", "key": "token"}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hush"},
        "stringData": {"token": "s3cr3t"},
    }
    processes.write("secret.yaml", secret)
    command = ("sh", "-c", SCRIPT)
    processes.write("job.yaml", trainjob(job, "plain", *command, env=[{"name": "TOKEN", "valueFrom": ref}]))

    with processes.daemon():
        status = processes.until_phase(job, "Failed", seconds=60)

    (failed,) = (c for c in status["conditions"] if c["type"] == "Failed")
    assert failed["message"].endswith("its last lines:\npreparing\ntoken ****\nno such dataset")
    assert [e.get("count", 1) for e in status["events"] if e["reason"] == "BackOff"] == [1]
    assert "its last lines" not in status["message"]


def test_what_nothing_here_reads_is_warned_about(processes: Workspace) -> None:
    for kind, version in (
        ("Job", "batch/v1"),
        ("Service", "v1"),
        ("GitRepository", "source.toolkit.fluxcd.io/v1"),
    ):
        processes.write(f"{kind}.yaml", {"apiVersion": version, "kind": kind, "metadata": {"name": "other"}})

    done = processes.cli("validate", str(processes.specs), "-o", "json")

    found = json.loads(done.stdout)
    assert (done.returncode, found["errors"]) == (0, [])
    said = {warning["object"].partition("/")[0]: warning["message"] for warning in found["warnings"]}
    assert all("is ignored" in message for message in said.values())
    assert set(said) == {"Job", "Service", "GitRepository"}
    assert "write it as a TrainJob" in said["Job"]
