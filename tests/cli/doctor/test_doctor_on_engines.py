"""``reconciler doctor`` on real engines: leftovers, networks without DNS, images, a pull, the network test."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.doctor import network_test
from reconciler.engines.docker.docker_engine import DockerEngine
from reconciler.engines.podman.podman_engine import PodmanEngine
from reconciler.engines.protocol import Engine
from reconciler.engines.specs import ContainerSpec, NetworkSpec
from reconciler.names import (
    LABEL_CONTAINER,
    LABEL_INDEX,
    LABEL_INSTANCE,
    LABEL_JOB,
    LABEL_NAMESPACE,
    LABEL_STEP,
)
from tests.cli.samples import trainjob, write
from tests.support import engines, images, registry

pytestmark = pytest.mark.engine

Doctor = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def _engines() -> Iterator[None]:
    with engines.using_engines():
        yield


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest, _engines: None) -> Iterator[Engine]:
    """Each engine, with the test image."""
    try:
        url = engines.ensure_engine(request.param)
        images.ensure_image(request.param, url=url)
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(f"{request.param}: {error}")
    made: Engine = PodmanEngine(url) if request.param == "podman" else DockerEngine(url)
    yield made
    made.close()


@pytest.fixture
def instance() -> str:
    """A label that no other test has."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def doctor(engine: Engine, instance: str, cli, specs: Path) -> Doctor:  # type: ignore[no-untyped-def]
    """``doctor -o json`` on the engine, for the folder: its checks by name."""

    def run(*arguments: str) -> dict[str, dict[str, Any]]:
        done = cli(
            "doctor", "--engine", engine.name, "--container-host", engine.url, "--specs", specs,  # type: ignore[attr-defined]
            "--instance", instance, "-o", "json", *arguments,
        )  # fmt: skip
        report = json.loads(done.stdout)
        assert done.exit_code == (0 if report["ok"] else 1)
        return {check["name"]: check for check in report["checks"]}

    return run


@pytest.fixture
def left(engine: Engine, instance: str) -> Iterator[dict[str, str]]:
    """Labels of a job of this folder; what carries its instance is removed at the end."""
    yield {LABEL_INSTANCE: instance, LABEL_JOB: "gone", LABEL_NAMESPACE: "default"}
    for container in engine.list_containers({LABEL_INSTANCE: instance}):
        engine.remove_container(container.name)
    for network in engine.list_networks({LABEL_INSTANCE: instance}):
        engine.remove_network(network.name)


def container(engine: Engine, labels: dict[str, str], name: str = "") -> str:
    """A container of the job, under a name of its own or another."""
    step = f"step{uuid.uuid4().hex[:8]}"
    name = name or f"{labels[LABEL_JOB]}-{step}"
    own = {LABEL_STEP: step, LABEL_INDEX: "0", LABEL_CONTAINER: "main"}
    engine.create_container(
        ContainerSpec(name=name, image=images.reference(), labels=labels | own, entrypoint=("true",))
    )
    return name


def test_container_without_a_manifest(engine, doctor, left):
    name = container(engine, left)

    found = doctor()["containers of this folder"]

    assert found["status"] == "warn"
    assert name in found["detail"]
    assert f"{engine.name} rm -f {name}" in found["remedy"]


def test_a_copy_of_a_container_is_told_from_a_leftover(engine, doctor, left):
    copy = container(engine, left, name=f"eager-{uuid.uuid4().hex[:8]}")

    found = doctor()

    assert found["containers of this folder"]["status"] == "ok"
    assert found["copies of containers"]["status"] == "warn"
    assert f"{engine.name} rm -f {copy}" in found["copies of containers"]["remedy"]


def test_container_of_an_ended_job(engine, doctor, left, specs):
    write(specs / "job.yaml", trainjob("gone"))
    status = {**trainjob("gone"), "status": {"phase": "Complete"}}
    status["metadata"] = {**status["metadata"], "uid": "u"}
    (specs / "job.status.yaml").write_text(yaml.safe_dump(status))
    name = container(engine, left)

    found = doctor()["containers of this folder"]
    kept = doctor("--no-auto-remove")["containers of this folder"]

    assert (found["status"], name in found["detail"]) == ("warn", True), found
    assert kept["status"] == "ok"


def test_container_of_a_pending_job_is_ok(engine, doctor, left, specs):
    write(specs / "job.yaml", trainjob("gone"))
    container(engine, left)

    assert doctor()["containers of this folder"]["status"] == "ok"


def test_network_without_dns_fails(engine, doctor, left):
    if engine.name == "docker":
        pytest.skip("Docker's own networks all have DNS")
    name = f"rt-{uuid.uuid4().hex[:8]}-net"
    body = {"name": name, "driver": "bridge", "dns_enabled": False, "labels": left}
    engine._http.call("POST", "/networks/create", "create a network", body=body)

    found = doctor()["names in job networks"]

    assert (found["status"], name in found["detail"]) == ("fail", True)
    assert f"podman network rm -f {name}" in found["remedy"]


def test_exited_container_without_an_owner(engine, doctor):
    job = f"sdk-{uuid.uuid4().hex[:8]}"
    name = container(engine, {LABEL_JOB: job})
    try:
        engine.start_container(name)
        while engine.inspect_container(name).exit is None:
            pass

        found = doctor()["containers of nobody"]
    finally:
        engine.remove_container(name)

    assert (found["status"], f"label={LABEL_JOB}={job}" in found["remedy"]) == ("warn", True), found


def test_images_of_the_folder(engine, doctor, specs):
    write(specs / "job.yaml", trainjob("j", trainer={"image": images.reference()}))

    found = doctor()["images"]
    never = doctor("--pull-policy", "Never")["images"]

    assert (found["status"], "1 of the 2" in found["detail"]) == ("ok", True), found
    assert (never["status"], "example/train:1" in never["remedy"]) == ("warn", True)


def test_pull_test(engine, doctor, tmp_path):
    try:
        with registry.running(tmp_path / "registry") as server:
            missing = doctor("--pull-test", f"{server.host}/nobody/none:1")["pull"]
    except registry.RegistryMissing as error:
        pytest.skip(str(error))

    assert missing["status"] == "fail"
    assert "the registry has no such image" in missing["detail"]
    assert "pull" not in doctor()


def list_runs(engine: Engine) -> list[str]:
    labels = [each.labels for each in (*engine.list_containers({}), *engine.list_networks({}))]
    return [each[network_test.LABEL] for each in labels if network_test.LABEL in each]


def test_network_test_makes_a_round_trip_and_leaves_nothing(engine, monkeypatch):
    made: list[str] = []
    monkeypatch.setattr(network_test, "_round_trip", _recording(network_test._round_trip, made))

    found = network_test.run_network_test(engine, images.reference())

    assert found.status == "ok", found
    assert "plain sockets" in found.detail
    assert not set(made) & set(list_runs(engine))


def test_network_test_without_an_image(engine, doctor):
    found = doctor("--network-test", "--image", "localhost/reconciler-test:no-such")["network test"]
    none = doctor("--network-test")["network test"]

    assert (found["status"], none["status"]) == ("fail", "fail")
    assert "no-such" in found["detail"]
    assert "--image" in none["remedy"]


def test_failed_network_test_names_the_cause_and_leaves_nothing(engine, monkeypatch):
    made: list[str] = []
    broken = network_test.SCRIPT.replace("gethostbyname(peer)", "gethostbyname(peer + '.invalid')")
    monkeypatch.setattr(network_test, "SCRIPT", broken.replace("+ 60", "+ 0.1"))
    monkeypatch.setattr(network_test, "_round_trip", _recording(network_test._round_trip, made))

    found = network_test.run_network_test(engine, images.reference())

    assert (found.status, "is not resolved" in found.detail) == ("fail", True), found
    assert not set(made) & set(list_runs(engine))


def test_interrupted_network_test_leaves_nothing(engine, monkeypatch):
    made: list[str] = []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(network_test, "_wait_for_exits", interrupted)
    monkeypatch.setattr(network_test, "_round_trip", _recording(network_test._round_trip, made))

    with pytest.raises(KeyboardInterrupt):
        network_test.run_network_test(engine, images.reference())

    assert made
    assert not set(made) & set(list_runs(engine))


def test_leftovers_of_a_killed_network_test_are_removed(engine):
    run, other = f"doctor-1000-{uuid.uuid4().hex[:6]}", f"doctor-99999999999-{uuid.uuid4().hex[:6]}"
    for name in (run, other):
        engine.create_network(NetworkSpec(name=f"{name}-net", labels={network_test.LABEL: name}))
    try:
        network_test._remove_stale(engine)

        assert run not in list_runs(engine)
        assert other in list_runs(engine)
    finally:
        engine.remove_network(f"{other}-net")


def _recording(function, made: list[str]):  # type: ignore[no-untyped-def]
    def recorded(engine: Engine, image: str, run: str) -> str:
        made.append(run)
        result: str = function(engine, image, run)
        return result

    return recorded


@pytest.mark.slow
def test_script_of_the_network_test_uses_gloo_with_pytorch(tmp_path, torch_here):
    """The script itself, in two processes: the test image has no PyTorch of its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(torch_here),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }

    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", network_test.SCRIPT, str(rank), "localhost", str(port)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        outputs = [rank.communicate(timeout=200)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()

    assert ["sum 3 gloo" in output for output in outputs] == [True, True], outputs
