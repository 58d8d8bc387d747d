"""``plan -o json``."""

from __future__ import annotations

import json
from typing import Any

from reconciler.plan.plan_json import render_job
from tests.plan.manifests import container, plan_of, rendered_job, runtime, step, trainjob

SECRET = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
CONFIG = {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}


def lookup(kind: str, name: str) -> dict[str, bytes | str] | None:
    return {"k": "value"} if name in ("s", "c") else None


def with_values() -> dict[str, Any]:
    volumes = [{"name": "keys", "secret": {"secretName": "s"}}, {"name": "conf", "configMap": {"name": "c"}}]
    mounts = [{"name": "keys", "mountPath": "/keys"}, {"name": "conf", "mountPath": "/etc/k", "subPath": "k"}]
    node = container(
        env=[SECRET, CONFIG], envFrom=[{"secretRef": {"name": "s"}}], args=["$(T)"], volumeMounts=mounts
    )
    return runtime(step("node", node, pod={"volumes": volumes}))


JOB_KEYS = {
    *("namespace", "name", "nodes", "network", "framework", "suspend", "labels", "annotations", "steps"),
    *("containers", "volumes", "files"),
}
STEP_KEYS = {"name", "count", "after", "role", "restartPolicy", "backoffLimit"}
CONTAINER_KEYS = {
    *("name", "step", "index", "rank", "container", "kind", "hostname", "image", "command", "args", "env"),
    *("env_from", "resources", "mounts", "ports", "labels", "annotations", "securityContext"),
}


def test_keys_are_those_of_the_contract() -> None:
    rendered = rendered_job(plan_of(trainjob()))

    assert rendered.keys() == JOB_KEYS
    assert rendered["steps"][0].keys() == STEP_KEYS
    assert rendered["containers"][0].keys() == CONTAINER_KEYS
    assert json.loads(json.dumps(rendered)) == rendered


def test_values_of_secrets_are_masked_everywhere() -> None:
    plan = plan_of(trainjob(), with_values())

    for job in (rendered_job(plan), render_job(plan, lookup=lookup)):
        (node,) = job["containers"]
        assert node["env"]["T"] == "****"
        assert node["args"] == ["****"]


def test_values_of_config_maps_are_shown_where_they_are_known() -> None:
    plan = plan_of(trainjob(), with_values())

    known, unknown = render_job(plan, lookup=lookup), rendered_job(plan)

    assert known["containers"][0]["env"]["C"] == "value"
    assert unknown["containers"][0]["env"]["C"] == "<ConfigMap c/k>"
    assert known["files"] == {"node:/keys/k": "****", "node:/etc/k": "value"}


def test_labels_name_job_and_rank() -> None:
    labels = rendered_job(plan_of(trainjob()))["containers"][0]["labels"]

    assert labels["kubeflow.org/job-name"] == labels["trainer.kubeflow.org/trainjob-name"] == "demo"
    assert labels["reconciler.trainer.kubeflow.org/rank"] == "0"
