"""Upstream's contract over real TLS, and the addresses at which the service listens."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.nodeservices.progress.bridge_discovery import RECHECK_DELAY, BridgeDiscovery
from reconciler.controller.nodeservices.progress.progress_endpoints import ProgressEndpoints
from reconciler.controller.nodeservices.progress.progress_listeners import preferred_port
from reconciler.controller.nodeservices.progress.progress_reports import ProgressReports
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.engines.protocol import EngineInfo, NetworkState
from reconciler.plan.job_plan import JobPlan
from reconciler.server.asgi.http_server import Server
from reconciler.state.record import Record
from tests.plan.manifests import container, full_plan_of, runtime, step, trainjob

PROCESS = EngineInfo(name="process", version="3")
PODMAN = EngineInfo(name="podman", version="5", host="unix:///run/podman/podman.sock")
ROOTLESS = EngineInfo(name="podman", version="5", host="unix:///run/user/1/podman.sock", rootless=True)
DOCKER = EngineInfo(name="docker", version="28", host="unix:///run/docker.sock")
NETWORK = NetworkState(id="n", name="demo-net", labels={}, subnet="10.1.2.0/24", gateway="10.1.2.1")
AT = "2026-01-02T03:04:05Z"
GOOD = {"progressPercentage": 42, "lastUpdatedTime": AT}


class Harness:
    """A service on a state folder; several in a row are restarts of the daemon."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(specs=root / "specs", state_dir=root / "state", instance=f"test-{root.name}")
        self.jobs = {"team/demo": "u1", "team/other": "u2"}
        self.unfinished = set(self.jobs)
        self.server = Server()
        self.reports = ProgressReports(clock=lambda: 1000.0, enqueue_at=lambda _key, _when: None)
        self.service = ProgressService(
            self.settings,
            reports=self.reports,
            uid_of=self.jobs.get,
            unfinished=lambda: self.unfinished,
            server=self.server,
        )

    def close(self) -> None:
        self.service.close()
        self.server.close()

    def address(self, *, info: EngineInfo = PROCESS, plan: JobPlan | None = None) -> str:
        found = self.service.open_endpoints(plan or plan_of("demo"), NETWORK, info, running=False)
        assert not found.problem
        return found.addresses["node", 0]

    def token(self, job: str = "demo", uid: str = "u1") -> str:
        data = self.service.mounted_data("Secret", f"{job}-status-token", record_of(job, uid))
        assert data is not None
        return data["token"].decode()

    @property
    def authority(self) -> str:
        data = self.service.mounted_data("ConfigMap", "demo-tls-config", record_of("demo", "u1"))
        assert data is not None
        return data["ca.crt"].decode()

    def reported(self, job: str = "demo", uid: str = "u1") -> dict[str, Any]:
        return self.reports.apply_to(record_of(job, uid)).trainer_status

    def post(
        self,
        body: Any,
        *,
        job: str = "demo",
        authorization: str | None = None,
        method: str = "POST",
        path: str = "",
        address: str = "",
    ) -> tuple[int, Any]:
        host, _, port = (address or self.address()).rpartition(":")
        context = ssl.create_default_context(cadata=self.authority)
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
        path = path or f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/{job}/status"
        header = f"Bearer {self.token()}" if authorization is None else authorization
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, body=data, headers={"Authorization": header} if header else {})
            answer = connection.getresponse()
            assert answer.getheader("Content-Type") == "application/json"
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def record_of(job: str, uid: str) -> Record:
    return Record(namespace="team", name=job, uid=uid, created_at=0.0)


def plan_of(job: str, **spec: Any) -> JobPlan:
    return full_plan_of(trainjob(name=job, namespace="team", **spec))


def failure(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"status": "Failure", "message": message, "reason": reason, "code": code}


FORBIDDEN = failure(403, "Forbidden", "Forbidden")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Harness]]:
    made: list[Harness] = []

    def begin() -> Harness:
        made.append(Harness(tmp_path))
        return made[-1]

    yield begin
    for harness in made:
        harness.close()


@pytest.fixture
def harness(start: Callable[[], Harness]) -> Harness:
    return start()


# -- the contract


def test_report_is_echoed_as_decoded_and_replaces_the_last_one(harness: Harness) -> None:
    first = {**GOOD, "metrics": [{"name": "loss", "value": "1"}], "unknown": 1}

    assert harness.post({"trainerStatus": first, "also": "unknown"}) == (
        200,
        {"trainerStatus": {k: first[k] for k in ("progressPercentage", "metrics", "lastUpdatedTime")}},
    )
    assert harness.post({"trainerStatus": GOOD}) == (200, {"trainerStatus": GOOD})
    assert harness.reported() == GOOD


def test_empty_report_is_accepted_and_changes_nothing(harness: Harness) -> None:
    harness.post({"trainerStatus": GOOD})

    assert harness.post({}) == (200, {})
    assert harness.reported() == GOOD


def test_token_scheme_is_case_insensitive(harness: Harness) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert harness.post({}, authorization=f"{scheme} {harness.token()}")[0] == 200


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer x.y.z", "Basic dTpw", "TOKEN"])
def test_request_without_valid_token_is_forbidden(harness: Harness, authorization: str) -> None:
    assert harness.post(b"not even JSON", authorization=authorization) == FORBIDDEN
    assert harness.reported() == {}


def test_token_is_not_valid_for_another_job(harness: Harness) -> None:
    stolen = harness.token("other", "u2")

    assert harness.post({"trainerStatus": GOOD}, authorization=f"Bearer {stolen}") == FORBIDDEN
    assert harness.post({"trainerStatus": GOOD}, job="other") == FORBIDDEN
    assert harness.post({"trainerStatus": GOOD}, job="absent") == FORBIDDEN
    assert (harness.reported(), harness.reported("other", "u2")) == ({}, {})


def test_token_of_another_uid_is_forbidden(harness: Harness) -> None:
    before = harness.token(uid="u0")

    assert harness.post({"trainerStatus": GOOD}, authorization=f"Bearer {before}") == FORBIDDEN


def test_deleted_job_is_not_found(harness: Harness) -> None:
    token = harness.token()
    address = harness.address()
    del harness.jobs["team/demo"]

    gone = harness.post({"trainerStatus": GOOD}, authorization=f"Bearer {token}", address=address)

    assert gone == failure(404, "NotFound", "Train job not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("POST", "/"),
        ("POST", "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/demo"),
        ("POST", "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/demo/status/x"),
        ("POST", "/apis/trainer.kubeflow.org/v1/namespaces/team/trainjobs/demo/status"),
    ],
)
def test_any_other_request_is_not_found(harness: Harness, method: str, path: str) -> None:
    assert harness.post({}, method=method, path=path) == failure(404, "NotFound", "Not found")


def test_invalid_report_is_rejected_with_the_reason(harness: Harness) -> None:
    assert harness.post(b"invalid payload") == failure(422, "Invalid", "Invalid payload")
    code, answer = harness.post({"trainerStatus": {**GOOD, "progressPercentage": 101}})
    assert (code, answer["reason"], answer["code"]) == (422, "Invalid", 422)
    assert "should be less than or equal to 100" in answer["message"]
    assert harness.reported() == {}


def test_body_over_64_kib_is_too_large(harness: Harness) -> None:
    status = {**GOOD, "note": "x" * 70_000}

    assert harness.post({"trainerStatus": status}) == failure(
        413, "RequestEntityTooLarge", "Payload too large"
    )
    assert harness.post({"trainerStatus": {**GOOD, "note": "x" * 65_000}})[0] == 200


def test_internal_error_is_answered_with_500(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.address()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(harness.reports, "put", broken)

    assert harness.post({"trainerStatus": GOOD}) == failure(500, "InternalError", "Internal error")


# -- restarts


def test_restarted_daemon_keeps_address_authority_and_tokens(start) -> None:
    first = start()
    address, authority, token = first.address(), first.authority, first.token()
    first.close()

    second = start()

    assert (second.address(), second.authority) == (address, authority)
    assert second.post({"trainerStatus": GOOD}, authorization=f"Bearer {token}")[0] == 200


def test_taken_port_is_replaced_and_the_new_one_is_kept(start) -> None:
    first = start()
    preferred = preferred_port(first.settings.instance)
    with socket.create_server(("127.0.0.1", preferred)):
        address = first.address()
        first.close()
    second = start()

    assert int(address.rpartition(":")[2]) in range(preferred + 1, preferred + 21)
    assert second.address() == address


def test_port_taken_after_a_restart_is_reported_and_retried(start) -> None:
    first = start()
    address = first.address()
    first.close()
    second = start()

    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        found = second.service.open_endpoints(plan_of("demo"), NETWORK, PROCESS, running=True)

    assert "is taken by another program" in found.problem
    assert found.addresses == {}
    assert second.address() == address


# -- which pods can report


def host_network_plan() -> JobPlan:
    return full_plan_of(
        trainjob(name="demo", namespace="team"),
        runtime(step("node", container(), pod={"hostNetwork": True})),
    )


def test_podman_gateway_is_opened_before_the_host_has_it(harness: Harness) -> None:
    assert harness.address(info=PODMAN).startswith("10.1.2.1:")


def test_gateway_missing_twice_while_its_job_runs_is_elsewhere() -> None:
    now = [0.0]
    bridges = BridgeDiscovery(clock=lambda: now[0], has_address=lambda _address: False)

    assert not bridges.check("a", "10.1.2.1", running=False)
    assert bridges.check("a", "10.1.2.1", running=True)
    assert not bridges.elsewhere
    now[0] += RECHECK_DELAY
    assert not bridges.check("a", "10.1.2.1", running=True)
    assert bridges.elsewhere


def test_job_that_ended_before_the_check_proves_nothing() -> None:
    now = [0.0]
    bridges = BridgeDiscovery(clock=lambda: now[0], has_address=lambda _address: False)
    bridges.check("a", "10.1.2.1", running=True)

    now[0] += RECHECK_DELAY
    assert not bridges.check("a", "10.1.2.1", running=False)
    assert bridges.check("a", "10.1.2.1", running=True)
    assert not bridges.elsewhere


def test_one_gateway_on_the_host_is_proof_for_all() -> None:
    bridges = BridgeDiscovery(clock=lambda: 0.0, has_address=lambda address: address == "10.1.2.1")

    bridges.check("a", "10.1.2.1", running=True)

    assert not bridges.check("b", "10.9.9.1", running=True)
    assert not bridges.elsewhere


def test_bridges_elsewhere_are_reported_to_later_jobs(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BridgeDiscovery, "elsewhere", True)

    found = harness.service.open_endpoints(plan_of("other"), NETWORK, PODMAN, running=False)

    assert "is no address of this host" in found.problem
    assert found.addresses == {}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (DOCKER, "no address of this host"),
        (EngineInfo(name="docker", version="28", host="tcp://10.9.9.9:2375"), "may be on another host"),
        (EngineInfo(name="podman", version="5", host="ssh://core@vm"), "may be on another host"),
        (ROOTLESS, "rootless Podman keeps its networks in a namespace of its own"),
    ],
)
def test_unreachable_engine_is_reported_in_one_sentence(
    harness: Harness, info: EngineInfo, reason: str
) -> None:
    found = harness.service.open_endpoints(plan_of("demo"), NETWORK, info, running=False)

    assert reason in found.problem
    assert "KUBEFLOW_TRAINER_SERVER_URL" in found.problem
    assert found.addresses == {}


def test_pods_on_the_host_network_report_to_the_loopback(harness: Harness) -> None:
    for info in (PODMAN, DOCKER, ROOTLESS):
        assert harness.address(info=info, plan=host_network_plan()).startswith("127.0.0.1:")


def test_job_that_does_not_report_opens_nothing(harness: Harness) -> None:
    plan = full_plan_of(trainjob(name="demo"), runtime(step("work", container(), role="")))

    assert harness.service.open_endpoints(plan, NETWORK, PROCESS, running=False) == ProgressEndpoints()


def test_address_is_closed_when_its_last_job_has_ended(harness: Harness) -> None:
    address = harness.address()
    harness.service.open_endpoints(plan_of("other"), NETWORK, PROCESS, running=False)

    harness.unfinished.discard("team/demo")
    harness.service.maintain()
    assert harness.post({}, address=address)[0] == 200

    harness.unfinished.discard("team/other")
    harness.service.maintain()
    host, _, port = address.rpartition(":")
    for _ in range(500):
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionResetError:
            continue  # accepted just before the listener closed
        except ConnectionRefusedError:
            break
    else:
        pytest.fail("it still listens")


def test_keys_are_readable_by_the_daemon_only(harness: Harness) -> None:
    harness.address()

    folder = harness.settings.state_dir / "progress" / harness.settings.instance
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
