"""Upstream's contract over real TLS, and which addresses the service listens at."""

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
from reconciler.controller.nodeservices.progress import progress_endpoints
from reconciler.controller.nodeservices.progress.bridge_discovery import DOUBT, Bridges
from reconciler.controller.nodeservices.progress.progress_listeners import preferred_port
from reconciler.controller.nodeservices.progress.progress_reports import Inbox
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.engines.protocol import EngineInfo, NetworkState
from reconciler.plan.job_plan import JobPlan
from reconciler.server.http_server import Server
from reconciler.state.record import Record
from tests.plan.manifests import container, full_plan_of, runtime, step, trainjob

PROCESS = EngineInfo(name="process", version="3")
PODMAN = EngineInfo(name="podman", version="5", host="unix:///run/podman/podman.sock")
ROOTLESS = EngineInfo(name="podman", version="5", host="unix:///run/user/1/podman.sock", rootless=True)
DOCKER = EngineInfo(name="docker", version="28", host="unix:///run/docker.sock")
NETWORK = NetworkState(id="n", name="demo-net", labels={}, subnet="10.1.2.0/24", gateway="10.1.2.1")
AT = "2026-01-02T03:04:05Z"
GOOD = {"progressPercentage": 42, "lastUpdatedTime": AT}


class Bench:
    """A service on a state folder; several of them in a row are restarts of the daemon."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(specs=root / "specs", state_dir=root / "state", instance=f"test-{root.name}")
        self.jobs = {"team/demo": "u1", "team/other": "u2"}
        self.live = set(self.jobs)
        self.server = Server()
        self.inbox = Inbox(clock=lambda: 1000.0, wake=lambda _key, _when: None)
        self.service = ProgressService(
            self.settings,
            inbox=self.inbox,
            uid_of=self.jobs.get,
            live=lambda: self.live,
            server=self.server,
        )

    def close(self) -> None:
        self.service.close()
        self.server.close()

    def address(self, *, info: EngineInfo = PROCESS, plan: JobPlan | None = None) -> str:
        found = self.service.reach(plan or plan_of("demo"), NETWORK, info, running=False)
        assert not found.trouble
        return found.addresses["node", 0]

    def token(self, job: str = "demo", uid: str = "u1") -> str:
        data = self.service.material("Secret", f"{job}-status-token", namespace="team", job=job, uid=uid)
        assert data is not None
        return data["token"].decode()

    @property
    def authority(self) -> str:
        data = self.service.material("ConfigMap", "demo-tls-config", namespace="team", job="demo", uid="u1")
        assert data is not None
        return data["ca.crt"].decode()

    def reported(self, job: str = "demo", uid: str = "u1") -> dict[str, Any]:
        return self.inbox.applied(Record(namespace="team", name=job, uid=uid, created_at=0.0)).trainer_status

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


def plan_of(job: str, **spec: Any) -> JobPlan:
    return full_plan_of(trainjob(name=job, namespace="team", **spec))


def failure(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"status": "Failure", "message": message, "reason": reason, "code": code}


FORBIDDEN = failure(403, "Forbidden", "Forbidden")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Bench]]:
    made: list[Bench] = []

    def begin() -> Bench:
        made.append(Bench(tmp_path))
        return made[-1]

    yield begin
    for bench in made:
        bench.close()


@pytest.fixture
def bench(start: Callable[[], Bench]) -> Bench:
    return start()


# -- the contract


def test_a_report_is_echoed_as_it_was_understood_and_replaces_the_one_before(bench: Bench) -> None:
    first = {**GOOD, "metrics": [{"name": "loss", "value": "1"}], "unknown": 1}

    assert bench.post({"trainerStatus": first, "also": "unknown"}) == (
        200,
        {"trainerStatus": {k: first[k] for k in ("progressPercentage", "metrics", "lastUpdatedTime")}},
    )
    assert bench.post({"trainerStatus": GOOD}) == (200, {"trainerStatus": GOOD})
    assert bench.reported() == GOOD


def test_a_report_of_nothing_is_taken_and_changes_nothing(bench: Bench) -> None:
    bench.post({"trainerStatus": GOOD})

    assert bench.post({}) == (200, {})
    assert bench.reported() == GOOD


def test_the_scheme_of_the_token_is_taken_in_any_case(bench: Bench) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert bench.post({}, authorization=f"{scheme} {bench.token()}")[0] == 200


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer x.y.z", "Basic dTpw", "TOKEN"])
def test_without_a_good_token_nothing_is_said_but_forbidden(bench: Bench, authorization: str) -> None:
    assert bench.post(b"not even JSON", authorization=authorization) == FORBIDDEN
    assert bench.reported() == {}


def test_a_jobs_token_is_good_for_no_other_job(bench: Bench) -> None:
    stolen = bench.token("other", "u2")

    assert bench.post({"trainerStatus": GOOD}, authorization=f"Bearer {stolen}") == FORBIDDEN
    assert bench.post({"trainerStatus": GOOD}, job="other") == FORBIDDEN
    assert bench.post({"trainerStatus": GOOD}, job="absent") == FORBIDDEN
    assert (bench.reported(), bench.reported("other", "u2")) == ({}, {})


def test_a_token_of_an_earlier_life_of_the_job_is_forbidden(bench: Bench) -> None:
    before = bench.token(uid="u0")

    assert bench.post({"trainerStatus": GOOD}, authorization=f"Bearer {before}") == FORBIDDEN


def test_a_job_that_is_gone_is_not_found(bench: Bench) -> None:
    token = bench.token()
    address = bench.address()
    del bench.jobs["team/demo"]

    gone = bench.post({"trainerStatus": GOOD}, authorization=f"Bearer {token}", address=address)

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
def test_any_other_request_is_not_found(bench: Bench, method: str, path: str) -> None:
    assert bench.post({}, method=method, path=path) == failure(404, "NotFound", "Not found")


def test_what_is_no_report_is_invalid_and_says_why(bench: Bench) -> None:
    assert bench.post(b"invalid payload") == failure(422, "Invalid", "Invalid payload")
    code, said = bench.post({"trainerStatus": {**GOOD, "progressPercentage": 101}})
    assert (code, said["reason"], said["code"]) == (422, "Invalid", 422)
    assert "should be less than or equal to 100" in said["message"]
    assert bench.reported() == {}


def test_a_body_over_64_kib_is_too_large(bench: Bench) -> None:
    status = {**GOOD, "note": "x" * 70_000}

    assert bench.post({"trainerStatus": status}) == failure(413, "RequestEntityTooLarge", "Payload too large")
    assert bench.post({"trainerStatus": {**GOOD, "note": "x" * 65_000}})[0] == 200


def test_an_error_of_the_daemons_own_is_internal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.address()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(bench.inbox, "put", broken)

    assert bench.post({"trainerStatus": GOOD}) == failure(500, "InternalError", "Internal error")


# -- restarts


def test_a_restarted_daemon_has_the_same_address_authority_and_knows_its_tokens(start) -> None:
    first = start()
    address, authority, token = first.address(), first.authority, first.token()
    first.close()

    second = start()

    assert (second.address(), second.authority) == (address, authority)
    assert second.post({"trainerStatus": GOOD}, authorization=f"Bearer {token}")[0] == 200


def test_a_port_that_is_taken_at_first_is_replaced_and_the_new_one_is_kept(start) -> None:
    first = start()
    preferred = preferred_port(first.settings.instance)
    with socket.create_server(("127.0.0.1", preferred)):
        address = first.address()
        first.close()
    second = start()

    assert int(address.rpartition(":")[2]) in range(preferred + 1, preferred + 21)
    assert second.address() == address


def test_a_port_that_is_taken_when_the_daemon_comes_back_is_said_and_tried_again(start) -> None:
    first = start()
    address = first.address()
    first.close()
    second = start()

    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        found = second.service.reach(plan_of("demo"), NETWORK, PROCESS, running=True)

    assert "is taken by another program" in found.trouble
    assert found.addresses == {}
    assert second.address() == address


# -- who can be heard


def host_network_plan() -> JobPlan:
    return full_plan_of(
        trainjob(name="demo", namespace="team"),
        runtime(step("node", container(), pod={"hostNetwork": True})),
    )


def test_an_address_that_comes_up_later_is_listened_at_for_podman(bench: Bench) -> None:
    assert bench.address(info=PODMAN).startswith("10.1.2.1:")


def test_a_gateway_that_is_missing_twice_while_its_job_runs_is_elsewhere() -> None:
    now = [0.0]
    bridges = Bridges(clock=lambda: now[0], local=lambda _address: False)

    assert not bridges.look("a", "10.1.2.1", running=False)
    assert bridges.look("a", "10.1.2.1", running=True)
    assert not bridges.elsewhere
    now[0] += DOUBT
    assert not bridges.look("a", "10.1.2.1", running=True)
    assert bridges.elsewhere


def test_a_job_that_has_ended_between_listing_and_look_proves_nothing() -> None:
    now = [0.0]
    bridges = Bridges(clock=lambda: now[0], local=lambda _address: False)
    bridges.look("a", "10.1.2.1", running=True)

    now[0] += DOUBT
    assert not bridges.look("a", "10.1.2.1", running=False)
    assert bridges.look("a", "10.1.2.1", running=True)
    assert not bridges.elsewhere


def test_one_gateway_that_was_seen_is_proof_for_all() -> None:
    bridges = Bridges(clock=lambda: 0.0, local=lambda address: address == "10.1.2.1")

    bridges.look("a", "10.1.2.1", running=True)

    assert not bridges.look("b", "10.9.9.1", running=True)
    assert not bridges.elsewhere


def test_where_bridges_are_elsewhere_the_jobs_to_come_are_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bridges, "elsewhere", True)

    found = bench.service.reach(plan_of("other"), NETWORK, PODMAN, running=False)

    assert "is no address of this host" in found.trouble
    assert found.addresses == {}


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (DOCKER, "no address of this host"),
        (EngineInfo(name="docker", version="28", host="tcp://10.9.9.9:2375"), "may be on another host"),
        (EngineInfo(name="podman", version="5", host="ssh://core@vm"), "may be on another host"),
        (ROOTLESS, "rootless Podman keeps its networks in a namespace of its own"),
    ],
)
def test_an_engine_elsewhere_is_told_in_one_sentence(bench: Bench, info: EngineInfo, said: str) -> None:
    found = bench.service.reach(plan_of("demo"), NETWORK, info, running=False)

    assert said in found.trouble
    assert "KUBEFLOW_TRAINER_SERVER_URL" in found.trouble
    assert found.addresses == {}


def test_pods_on_the_hosts_network_report_to_the_loopback(bench: Bench) -> None:
    for info in (PODMAN, DOCKER, ROOTLESS):
        assert bench.address(info=info, plan=host_network_plan()).startswith("127.0.0.1:")


def test_a_job_that_does_not_report_opens_nothing(bench: Bench) -> None:
    plan = full_plan_of(trainjob(name="demo"), runtime(step("node", container(), role="")))

    assert bench.service.reach(plan, NETWORK, PROCESS, running=False) == progress_endpoints.Reach()


def test_an_address_is_closed_when_the_last_of_its_jobs_has_ended(bench: Bench) -> None:
    address = bench.address()
    bench.service.reach(plan_of("other"), NETWORK, PROCESS, running=False)

    bench.live.discard("team/demo")
    bench.service.tidy()
    assert bench.post({}, address=address)[0] == 200

    bench.live.discard("team/other")
    bench.service.tidy()
    host, _, port = address.rpartition(":")
    for _ in range(500):
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionResetError:
            continue  # taken up just before the end
        except ConnectionRefusedError:
            break
    else:
        pytest.fail("it still listens")


def test_keys_are_for_the_daemons_eyes_only(bench: Bench) -> None:
    bench.address()

    folder = bench.settings.state_dir / "progress" / bench.settings.instance
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
