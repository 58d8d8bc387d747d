"""What an engine refuses for the moment is tried again, and never counted as the job's failure."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

import docker
import pytest

from tests.support import images
from tests.support.flags import Flags
from tests.support.manifests import UNTIL_TERM, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def _prepared(flags: Flags, script: str) -> dict[str, Any]:
    """A runtime with a step before the node's, and no failure to spare."""
    made = flags.runtime()
    (node,) = made["spec"]["template"]["spec"]["replicatedJobs"]
    first = copy.deepcopy(node)
    first["name"] = "prepare"
    del first["template"]["metadata"]
    (container,) = first["template"]["spec"]["template"]["spec"]["containers"]
    container["name"], container["command"] = "prepare", ["sh", "-c", script]
    node["dependsOn"] = [{"name": "prepare", "status": "Complete"}]
    made["spec"]["template"]["spec"]["replicatedJobs"] = [first, node]
    return made


def _first_address(client: docker.DockerClient, network: str) -> str:
    """Rank 0's address: the first after the gateway's."""
    (config,) = client.networks.get(network).attrs["IPAM"]["Config"]
    return str(ipaddress.ip_address(config["Gateway"]) + 1)


def test_an_address_that_another_container_has_is_waited_for(containers: Workspace) -> None:
    job, other, flags = unique("address"), unique("has"), Flags(containers)
    script = f"{flags.note('prepare')}{flags.wait()}"
    containers.write("j.yaml", _prepared(flags, script), shell(job, "rt", "echo trained"))
    with containers.daemon(), containers.api() as client:
        flags.until_noted(1)
        config = client.api.create_networking_config(
            {
                f"{job}-net": client.api.create_endpoint_config(
                    ipv4_address=_first_address(client, f"{job}-net")
                )
            }
        )
        made = client.api.create_container(
            images.reference(), ["sh", "-c", UNTIL_TERM], name=other, networking_config=config
        )
        try:
            client.api.start(made["Id"])
            flags.raise_flag()
            eventually(
                lambda: "EngineBusy" in containers.said(job) or containers.phase(job) == "Failed", "refused"
            )
            eventually(lambda: containers.status(job).get("phase") in {"Initializing", "Failed"}, "it waits")
            assert "address" in containers.status(job)["message"]
        finally:
            client.api.remove_container(made["Id"], force=True)
        status = containers.until_phase(job, "Complete", "Failed", seconds=120)

    assert status["phase"] == "Complete"
    assert (status["restarts"], status["nodes"][-1]["restarts"]) == (0, 0)
    assert containers.log(job, 0) == "trained\n"
    assert len([e for e in status["events"] if e["reason"] == "EngineBusy"]) == 1
    assert not [e for e in status["events"] if e["reason"] in {"StartFailed", "BackOff"}]


def test_the_address_of_an_init_container_that_has_just_ended_is_no_failure(podman: Workspace) -> None:
    jobs, flags = [unique("init") for _ in range(8)], Flags(podman)
    init = {"name": "prepare", "image": images.reference(), "command": ["true"]}
    runtime = flags.runtime(pod={"initContainers": [init]})
    with podman.daemon():
        podman.write("j.yaml", runtime, *(shell(job, "rt", "echo trained") for job in jobs))
        for job in jobs:
            podman.until_phase(job, "Complete", "Failed", seconds=180)

    assert {job: podman.phase(job) for job in jobs} == dict.fromkeys(jobs, "Complete")
