"""``reconciler plan``: the shape of its output; tests/plan has its content."""

from __future__ import annotations

import json

import yaml

from tests.cli.samples import trainjob, write

CONTAINER_KEYS = {
    *("name", "step", "index", "rank", "container", "kind", "image", "command", "args", "env", "env_from"),
    *("resources", "mounts", "ports", "labels", "annotations", "securityContext"),
}


def test_json_has_the_keys_of_the_contract(cli, specs):
    write(specs / "job.yaml", trainjob())

    done = cli("plan", specs, "-o", "json")

    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert (plan["errors"], plan["warnings"]) == ([], [])
    (job,) = plan["jobs"]
    assert {"namespace", "name", "nodes", "network", "labels", "annotations", "steps", "containers"} <= set(
        job
    )
    assert {"volumes", "files"} <= set(job)
    assert (job["name"], job["nodes"], job["network"]) == ("demo", 2, "demo-net")
    assert [c["name"] for c in job["containers"]] == ["demo-node-0", "demo-node-1"]
    assert all(set(container) >= CONTAINER_KEYS for container in job["containers"])
    assert job["containers"][1]["env"]["MASTER_ADDR"] == "$(node-0.ip)"


def test_yaml_is_the_same_and_the_default(cli, specs):
    write(specs / "job.yaml", trainjob())

    as_json = json.loads(cli("plan", specs, "-o", "json").stdout)
    as_yaml = yaml.safe_load(cli("plan", specs).stdout)

    assert as_yaml == as_json


def test_invalid_job_is_an_error_and_the_others_are_planned(cli, specs):
    write(specs / "good.yaml", trainjob("good"))
    write(specs / "bad.yaml", trainjob("bad", trainer={"numNodes": -1}))
    write(specs / "lost.yaml", trainjob("lost", runtime="absent"))

    done = cli("plan", specs, "-o", "json")

    plan = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [job["name"] for job in plan["jobs"]] == ["good"]
    assert {error["object"] for error in plan["errors"]} == {"TrainJob/default/bad", "TrainJob/default/lost"}


def test_secrets_are_masked_and_config_maps_shown(cli, specs):
    def value_from(kind: str) -> dict[str, object]:
        return {"name": kind[0].upper(), "valueFrom": {f"{kind}KeyRef": {"name": "it", "key": "k"}}}

    env = [value_from("secret"), value_from("configMap")]
    write(specs / "job.yaml", trainjob(trainer={"env": env}))
    write(
        specs / "values.yaml",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "it"}, "stringData": {"k": "hush"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}, "data": {"k": "plain"}},
    )

    done = cli("plan", specs, "-o", "json")

    assert done.exit_code == 0, done.output
    (container,) = json.loads(done.stdout)["jobs"][0]["containers"]
    assert (container["env"]["S"], container["env"]["C"]) == ("****", "plain")
    assert "hush" not in done.output
