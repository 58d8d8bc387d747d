"""``validate`` and ``plan`` refuse the same manifests, with the same words.

What only planning found (a patch's ``hostPath: ../code``, ``/in`` and ``/in/`` both mounted) was valid for the
earlier version's ``validate``, and the job then waited for ever.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.manifests import runtime, trainjob
from tests.support.workspaces import Workspace

SCRATCH = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]

ENV = [{"name": "A", "value": "1"}]
BAD_ENV = [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def _mounts(*mounts: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": SCRATCH, "containers": [{"name": "node", "volumeMounts": list(mounts)}]}


def _volume(**source: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v"}]
    return {"volumes": [{"name": "v", **source}], "containers": [{"name": "node", "volumeMounts": mounts}]}


#: Name of a job -> the pod of its patch, which is refused; each for another reason.
REFUSED = {
    "host-path": _volume(hostPath={"path": "../code"}),
    "host-path-deep": _volume(hostPath={"path": "/data/../etc"}),
    "host-type": _volume(hostPath={"path": "/data", "type": "Folder"}),
    "same-mount": _mounts({"name": "a", "mountPath": "/in"}, {"name": "b", "mountPath": "/in/"}),
    "sub-path-up": _mounts({"name": "a", "mountPath": "/in", "subPath": "../x"}),
    "sub-path-root": _mounts({"name": "a", "mountPath": "/in", "subPath": "/x"}),
    "sub-path-expr": _mounts({"name": "a", "mountPath": "/in", "subPathExpr": "../$(HOSTNAME)"}),
    "no-volume": _mounts({"name": "missing", "mountPath": "/in"}),
    "two-kinds": _volume(emptyDir={}, hostPath={"path": "/data"}),
    "secret-item": _volume(secret={"secretName": "s", "items": [{"key": "k", "path": "../k"}]}),
    "config-item": _volume(configMap={"name": "c", "items": [{"key": "k", "path": "/k"}]}),
    "root-or-not": {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}},
    "no-user": {"securityContext": {"runAsUser": -5}},
    "no-group": {"securityContext": {"fsGroup": 2**40}},
    "no-container": {"containers": [{"name": "other", "env": ENV}]},
    "init-as-main": {"containers": [{"name": "prepare", "env": ENV}]},
    "env-and-source": {"initContainers": [{"name": "prepare", "env": BAD_ENV}]},
}
ACCEPTED = {
    "mounts": _mounts({"name": "a", "mountPath": "/in"}, {"name": "b", "mountPath": "/in/b"}),
    "user": {"securityContext": {"runAsUser": 1000}},
}


def _job(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    job = trainjob(name, "base", "true")
    step = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    patch = {"template": {"spec": {"replicatedJobs": [step]}}}
    job["spec"]["runtimePatches"] = [{"manager": "test.io/case", "trainingRuntimeSpec": patch}]
    return job


def _errors(workspace: Workspace, command: str) -> tuple[int, set[tuple[str, str, str]]]:
    done = workspace.cli(command, str(workspace.specs), "-o", "json")
    found = json.loads(done.stdout)["errors"]
    return done.returncode, {(fault["object"], fault["path"], fault["message"]) for fault in found}


def test_what_one_refuses_the_other_refuses(processes: Workspace) -> None:
    init = {"initContainers": [{"name": "prepare", "image": "x"}]}
    processes.write("runtime.yaml", runtime("base", "x", pod=init))
    for name, pod in (REFUSED | ACCEPTED).items():
        processes.write(f"{name}.yaml", _job(name, pod))
    processes.write("many.yaml", trainjob("many", "base", "true", numNodes=100_000))

    validated, planned = _errors(processes, "validate"), _errors(processes, "plan")

    assert validated == planned
    assert {name.rpartition("/")[2] for name, _, _ in validated[1]} == {*REFUSED, "many"}
