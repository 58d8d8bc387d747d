"""Probes reach their own container and nothing else, at the pace that their ranges allow, and never end by themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import images
from tests.support.manifests import runtime, trainjob
from tests.support.tcp_services import serving_tcp
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

#: Answers the n-th connection with the n-th of its arguments, the last one for all that follow.
SERVER = r"""
import socket, sys
answers = [a.encode().decode("unicode_escape").encode() for a in sys.argv[2:]]
server = socket.create_server((sys.argv[1], 8099))
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answers[0])
    if len(answers) > 1:
        answers.pop(0)
    print("asked", flush=True)
"""
OK = r"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Listener:
    """Any service of the host: counts who connects."""

    def __init__(self) -> None:
        self.hits = 0
        self.port = 0

    def serve(self, connection: socket.socket) -> None:
        self.hits += 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    with serving_tcp(listener.serve) as listener.port:
        yield listener


def probed_job(space: Workspace, probe: Mapping[str, Any], *answers: str) -> str:
    job = unique("probe")
    image = images.reference()
    space.write("rt.yaml", runtime(f"{job}-rt", image, container={"readinessProbe": dict(probe)}))
    # In a container, its own address and no other; a process has the one of its job's network.
    script = 'exec python3 -c "$SERVER" "$MASTER_ADDR" "$@"'
    command = ("sh", "-c", script, "sh", *answers)
    space.write("job.yaml", trainjob(job, f"{job}-rt", *command, env=[{"name": "SERVER", "value": SERVER}]))
    return job


def ready(space: Workspace, job: str) -> bool:
    return any(step.get("ready") for step in space.status(job).get("jobsStatus") or ())


@pytest.mark.one_engine
def test_a_redirect_to_a_service_of_the_host_is_not_followed(containers: Workspace) -> None:
    with listening() as service:
        answer = (
            rf"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{service.port}/\r\nContent-Length: 0\r\n\r\n"
        )
        job = probed_job(containers, {"httpGet": {"port": 8099, "path": "/"}, "periodSeconds": 1}, answer)

        with containers.daemon():
            eventually(lambda: ready(containers, job), "ready: it has answered, as for the kubelet")
            eventually(lambda: containers.log(job, 0).count("asked") > 2, "asked again and again")

        assert service.hits == 0


def test_no_field_of_a_probe_names_another_host(processes: Workspace) -> None:
    """A host that the manifest names is not asked, and the plan says so."""
    with listening() as service:
        get = {"port": 8099, "host": "127.0.0.1"}
        job = probed_job(processes, {"httpGet": get, "periodSeconds": 1}, OK)

        said = processes.cli("plan", str(processes.specs))
        with processes.daemon():
            eventually(lambda: ready(processes, job), "ready")

        assert service.hits == 0
        assert "own address is asked" in said.stdout, said


def test_a_scheme_that_is_an_address_is_refused(processes: Workspace) -> None:
    with listening() as service:
        scheme = f"http://127.0.0.1:{service.port}/x?x="
        job = probed_job(processes, {"httpGet": {"port": 8099, "scheme": scheme}}, OK)

        said = processes.cli("validate", str(processes.specs))
        processes.cli("run", "--once")

        assert said.returncode == 1
        assert 'readinessProbe.httpGet.scheme: Unsupported value: "http://127.0.0.1' in said.stdout
        assert processes.phase(job) == "Pending"  # waits for a runtime that is valid
        assert service.hits == 0


def test_an_answer_that_is_no_http_fails_the_probe_and_not_the_probing(processes: Workspace) -> None:
    answers = (
        r"SSH-2.0-OpenSSH_9.2\r\n",
        r"\x00\x01\x02",
        "",
        r"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        OK,
    )
    job = probed_job(processes, {"httpGet": {"port": 8099}, "periodSeconds": 1}, *answers)

    with processes.daemon():
        eventually(lambda: ready(processes, job), "ready once it answers well")


@pytest.mark.parametrize(
    "probe",
    [
        {"tcpSocket": {"port": 8099}, "periodSeconds": -1},
        {"tcpSocket": {"port": 8099}, "timeoutSeconds": -1},
        {"tcpSocket": {"port": 8099}, "failureThreshold": -3},
        {"tcpSocket": {"port": 0}},
        {"tcpSocket": {"port": "8099"}},
        {"tcpSocket": {"port": 8099}, "exec": {"command": ["true"]}},
        {"exec": {"command": []}},
        {"periodSeconds": 1},
    ],
)  # fmt: skip
def test_what_a_cluster_refuses_of_a_probe_is_refused_here(
    processes: Workspace, probe: dict[str, Any]
) -> None:
    job = probed_job(processes, probe, OK)

    said = processes.cli("validate", str(processes.specs))
    processes.cli("run", "--once")

    assert said.returncode == 1, said.stdout
    assert "readinessProbe" in said.stdout
    assert processes.phase(job) == "Pending"  # waits for a runtime that is valid


@pytest.mark.one_engine
def test_a_probes_command_that_hangs_is_not_started_over_and_over(containers: Workspace) -> None:
    """Engines offer no way to end it: a probe a second would fill the container."""
    job = unique("hang")
    script = 'while sleep 0.2; do echo "hanging: $(pgrep -fc "^sleep 7777" || true)"; done'
    probe = {"exec": {"command": ["sleep", "7777"]}, "periodSeconds": 1, "timeoutSeconds": 1}
    containers.write("rt.yaml", runtime(f"{job}-rt", images.reference(), container={"readinessProbe": probe}))
    containers.write("job.yaml", trainjob(job, f"{job}-rt", "sh", "-c", script))

    with containers.daemon() as daemon:
        eventually(lambda: "hanging: 1" in containers.log(job, 0), "the probe hangs")
        eventually(lambda: "still runs" in daemon.text(), "the next one finds it hanging")
        asked = containers.log(job, 0).count("hanging")
        eventually(lambda: containers.log(job, 0).count("hanging") > asked + 15, "three seconds and more")

        assert "hanging: 2" not in containers.log(job, 0)
