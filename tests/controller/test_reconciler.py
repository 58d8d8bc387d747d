"""A job through the controller: runtimes that come late, updates, recovery, and errors of the disk.

The upstream cases that need the folder and the controller (:mod:`tests.controller.test_upstream_lifecycle` has
the others) are read from conformance/status.yaml; each rule is held here as well without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import EngineError
from tests.simulation.faults import Point, Side, once
from tests.simulation.file_faults import full_disk
from tests.simulation.manifests import job, runtime, step
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.world import ContainerBehaviour

FILE = Path(__file__).parents[3] / "shared" / "conformance" / "status.yaml"
CONTROLLER_CASES = ("runtime-missing", "runtime-edited-while-suspended", "managed-by-another-controller")
CASES = {c["name"]: c for c in yaml.safe_load(FILE.read_text())} if FILE.exists() else {}
RUNTIME = runtime("r", step("node"), nodes=2)
RERUN = "reconciler.trainer.kubeflow.org/rerun"
UPDATE_POLICY = "reconciler.trainer.kubeflow.org/update-policy"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SimulatedHost]:
    """A daemon over an empty folder; containers train for a thousand seconds."""
    with simulated_host(tmp_path, behaviour=lambda _container: ContainerBehaviour(duration=1000)) as made:
        yield made


def conditions(host: SimulatedHost) -> list[tuple[str, str, str]]:
    found = host.status("demo").get("status", {}).get("conditions", ())
    return [(c["type"], c["status"], c["reason"]) for c in found]


def annotate(host: SimulatedHost, **annotations: str) -> None:
    raw = host.files["demo.yaml"]
    host.apply({**raw, "metadata": {**raw["metadata"], "annotations": annotations}})


# -- upstream's cases


@pytest.mark.skipif(not CASES, reason="no conformance data beside this checkout")
@pytest.mark.parametrize("name", CONTROLLER_CASES)
def test_upstream_case(name: str, host: SimulatedHost) -> None:
    case = CASES[name]
    image = case["runtime"].get("image", "example.test/train:1")
    host.world.images |= {"example/train:1", "example/train:2"}
    began = host.world.now
    for entry in case["timeline"]:
        host.run(max(began + entry["t"] - host.world.now, 0))
        match entry.get("event"):
            case "create":
                if case["runtime"].get("present", True):
                    host.apply(runtime("r", step("node", image=image), nodes=1))
                host.apply(job("demo", "r", **(case["trainjob"].get("spec") or {})))
            case "runtime-create":
                host.apply(runtime("r", step("node", image=image), nodes=1))
            case "runtime-edit":
                host.apply(runtime("r", step("node", image=entry["image"]), nodes=1))
            case "edit":
                host.edit("demo.yaml", **entry["spec"])
            case "start":
                # What a job needs to start is there by now; the world started it.
                host.drain()
                assert host.running() == {f"demo-{n}" for n in entry["containers"]}
        host.drain()
        if "expect" in entry:
            host.flush()
            _check(host, entry["expect"])


def _check(host: SimulatedHost, expect: dict[str, Any]) -> None:
    wanted = [(c["type"], c["status"], c["reason"]) for c in expect["conditions"]]
    assert conditions(host) == wanted
    status = host.status("demo").get("status", {})
    for condition in expect["conditions"]:
        told = next(c["message"] for c in status["conditions"] if c["type"] == condition["type"])
        assert all(part in told for part in condition.get("message_contains", ()))
    for part in expect.get("error_contains", ()):
        assert part in str(status.get("message", "")) + str(status.get("errors", ""))
    if "running" in expect:
        assert host.running() == {f"demo-{n}" for n in expect["running"]}
    counts = {j["name"]: {k: v for k, v in j.items() if k != "name"} for j in status.get("jobsStatus", ())}
    for name, counted in expect.get("jobs", {}).items():
        assert counts[name] == counted
    if "image" in expect:
        assert {b.spec.image for b in host.owned_containers()} == {expect["image"]}
    if expect.get("on_engine") is False:
        assert not host.owned_containers()
        assert not host.world.networks
        assert not status


# -- runtimes


def test_a_job_waits_for_its_runtime_and_starts_by_itself(host: SimulatedHost) -> None:
    host.apply(job("demo", "r"))
    host.run(2)
    host.flush()
    assert "created before" in host.status("demo")["status"]["message"]
    host.apply(RUNTIME)
    host.run(2)
    assert host.running() == {"demo-node-0", "demo-node-1"}


def test_a_runtime_edited_or_deleted_does_not_disturb_a_started_job(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    before = {b.id for b in host.owned_containers()}
    host.apply(runtime("r", step("node"), nodes=3))
    host.run(40)
    del host.runtimes["r"]
    host.scan()
    host.run(40)
    assert {b.id for b in host.owned_containers()} == before


def test_a_job_of_another_manager_is_left_alone(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r", managedBy="kueue.x-k8s.io/multikueue"))
    host.run(60)
    assert not host.owned_containers()
    assert host.status("demo") == {}


# -- updates


def test_a_refused_change_leaves_containers_alone_and_says_why(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    before = {b.id for b in host.owned_containers()}
    host.edit("demo.yaml", trainer={"numNodes": 3})
    host.run(2)
    host.flush()
    assert {b.id for b in host.owned_containers()} == before
    status = host.status("demo")["status"]
    assert "spec.trainer" in str(status["errors"])
    assert "UpdateRefused" in [e["reason"] for e in status["events"]]


def test_recreate_replaces_the_job(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    first = host.record("demo")
    annotate(host, **{UPDATE_POLICY: "Recreate"})
    host.edit("demo.yaml", trainer={"numNodes": 3})
    host.run(2)
    second = host.record("demo")
    assert first is not None
    assert second is not None
    assert second.uid != first.uid
    assert host.running() == {"demo-node-0", "demo-node-1", "demo-node-2"}


def test_a_rerun_is_honoured_once(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1100)
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]
    annotate(host, **{RERUN: "1"})
    host.run(2)
    assert host.running() == {"demo-node-0", "demo-node-1"}
    host.run(1100)
    host.start_daemon()
    host.run(40)
    assert not host.running()
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]


def test_a_moved_manifest_is_the_same_job_with_its_sidecar_beside_it(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    before = {b.id for b in host.owned_containers()}
    host.files["other.yaml"] = host.files.pop("demo.yaml")
    host.start_daemon()
    host.run(2)
    host.check_at_rest()
    assert {b.id for b in host.owned_containers()} == before
    assert (host.settings.specs / "other.status.yaml").exists()


# -- lost records


def lose_record(host: SimulatedHost) -> None:
    (host.settings.state_dir / "records" / "simulated" / "default" / "demo.json").unlink()
    host.rules.record_taken("default/demo")
    host.start_daemon()


def test_a_running_job_whose_record_is_lost_goes_on(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    before = {b.id for b in host.owned_containers()}
    host.flush()
    lose_record(host)
    host.run(40)
    assert {b.id for b in host.owned_containers()} == before
    host.run(1100)
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]


def test_a_restarted_container_is_no_stale_one_after_the_record_was_lost(tmp_path: Path) -> None:
    def fails_once(container: Any) -> ContainerBehaviour:
        first = container.labels["reconciler.trainer.kubeflow.org/restart"] == "0"
        return (
            ContainerBehaviour(duration=5, code=1)
            if first and container.name.endswith("1")
            else ContainerBehaviour(duration=1000)
        )

    with simulated_host(tmp_path, behaviour=fails_once) as host:
        host.apply(runtime("r", step("node", backoff=3), nodes=2))
        host.apply(job("demo", "r"))
        host.run(30)
        before = {b.id for b in host.owned_containers()}
        host.flush()
        lose_record(host)
        host.run(40)
        assert {b.id for b in host.owned_containers()} == before


def test_ranks_of_two_plans_never_meet_after_the_record_was_lost(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(2)
    before = {b.id for b in host.owned_containers()}
    host.flush()
    host.files["demo.yaml"] = job("demo", "r", trainer={"numNodes": 3})
    lose_record(host)
    host.run(40)
    assert host.running() == {"demo-node-0", "demo-node-1", "demo-node-2"}
    assert not before & {b.id for b in host.owned_containers()}


def test_devices_of_a_job_whose_record_is_lost_are_given_to_nobody_else(host: SimulatedHost) -> None:
    host.world.devices = {"nvidia.com/gpu": ("0", "1")}
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    host.apply(runtime("r", step("node", container=gpu), nodes=1))
    host.apply(job("demo", "r"))
    host.run(2)
    held = host.container("demo-node-0").spec.devices
    host.flush()
    lose_record(host)
    host.apply(job("other", "r"))
    host.run(2)
    assert host.container("other-node-0").spec.devices != held


def test_a_finished_job_does_not_run_again_for_a_lost_record_or_a_lost_sidecar(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)
    annotate(host, **{RERUN: "1"})
    host.run(1100)
    host.flush()
    lose_record(host)
    host.run(10)
    assert not host.owned_containers()
    (host.settings.specs / "demo.status.yaml").unlink()
    host.start_daemon()
    host.run(10)
    assert not host.owned_containers()
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]


# -- trouble


def test_nothing_is_started_while_records_cannot_be_saved(host: SimulatedHost) -> None:
    def full(point: Point, side: Side) -> None:
        if point.what == "write" and side == "before":
            raise full_disk()

    host.faults.injector = full
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(100)
    assert not host.owned_containers()
    host.faults.calm()
    host.run(100)
    assert host.running() == {"demo-node-0", "demo-node-1"}


def test_a_start_that_timed_out_after_it_worked_leaves_no_busy_loop(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.faults.tracing = True
    host.apply(job("demo", "r"))
    host.run(1)
    number = next(p.number for p in host.faults.trace if p.what == "start_container")
    host.delete("demo.yaml")
    host.run(1)
    offset = host.faults.count
    first = host.faults.trace[0].number
    host.faults.injector = once(offset + number - first, "after", lambda: EngineError("timed out"))
    host.apply(job("demo", "r"))
    host.run(100)
    passes = host.passes
    host.run(100)
    assert host.passes - passes < 5
    record = host.record("demo")
    assert record is not None
    assert record.problem is None


def test_a_container_of_another_owner_is_left_alone_and_named(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("other", "r"))
    host.run(1)
    taken = host.container("other-node-0")
    stranger = type(taken)("s1", "demo-node-0", taken.spec, host.world.clock(), {"owner": "somebody"})
    host.world.containers["s1"] = stranger
    host.apply(job("demo", "r"))
    host.run(10)
    host.flush()
    assert "demo-node-0" in host.status("demo")["status"]["message"]
    assert "s1" in host.world.containers
    del host.world.containers["s1"]
    host.run(100)
    assert "demo-node-0" in host.running()


def test_jobs_take_turns_where_one_runs_at_a_time(tmp_path: Path) -> None:
    with simulated_host(
        tmp_path, behaviour=lambda _container: ContainerBehaviour(duration=50), max_jobs=1
    ) as host:
        host.apply(RUNTIME)
        for name in ("a", "b", "c"):
            host.apply(job(name, "r"))
            host.run(1)
        assert {b.name for b in host.owned_containers()} == {"a-node-0", "a-node-1"}
        host.flush()
        assert host.status("b")["status"]["phase"] == "Queued"
        host.run(200)
        ended = [key for key, phase in host.phases if phase == "Complete"]
        assert ended == ["default/a", "default/b", "default/c"]


def test_a_container_paused_by_hand_is_reported_and_left(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)
    host.world.pause(host.container("demo-node-1"))
    host.run(40)
    host.flush()
    assert [n["state"] for n in host.status("demo")["status"]["nodes"]] == ["running", "paused"]


def test_a_reboot_of_the_host_is_a_failure_the_policy_counts(host: SimulatedHost) -> None:
    host.apply(runtime("r", step("node"), nodes=2, failurePolicy={"maxRestarts": 1}))
    host.apply(job("demo", "r"))
    host.run(1)
    host.world.reboot()
    host.start_daemon()
    host.run(30)
    record = host.record("demo")
    assert record is not None
    assert record.restarts == 1
    assert host.running() == {"demo-node-0", "demo-node-1"}


def test_a_folder_that_vanishes_prunes_nothing(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)
    host.folder_state = "missing"
    host.start_daemon()
    host.run(100)
    assert host.running() == {"demo-node-0", "demo-node-1"}
    host.folder_state = "ok"
    host.scan()
    host.run(10)
    assert host.running() == {"demo-node-0", "demo-node-1"}


def test_what_is_left_of_a_job_without_record_and_manifest_is_removed(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)
    (host.settings.state_dir / "records" / "simulated" / "default" / "demo.json").unlink()
    del host.files["demo.yaml"]
    host.start_daemon()
    host.run(40)
    host.check_at_rest()
    assert not host.owned_containers()


def test_an_end_is_reported_only_after_it_is_saved(host: SimulatedHost) -> None:
    """Else a daemon killed in between, and a container removed meanwhile, would take the end back."""
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)

    def no_records(point: Point, side: Side) -> None:
        if point.what == "write" and point.target == "demo.json" and side == "before":
            raise full_disk()

    host.faults.injector = no_records
    host.run(1010)
    host.flush()
    assert host.status("demo")["status"]["phase"] == "Running"
    host.faults.calm()
    host.run(100)
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]


def test_a_status_that_could_not_be_written_is_written_by_the_next_daemon(host: SimulatedHost) -> None:
    host.apply(RUNTIME)
    host.apply(job("demo", "r"))
    host.run(1)
    host.flush()

    def no_sidecars(point: Point, side: Side) -> None:
        if point.what == "write" and point.target == "demo.status.yaml" and side == "before":
            raise full_disk()

    host.faults.injector = no_sidecars
    host.run(1010)
    host.faults.calm()
    host.start_daemon()
    host.run(10)
    assert conditions(host) == [("Complete", "True", "AllJobsCompleted")]


def test_an_image_that_is_not_there_is_one_problem_and_no_storm_of_tries(host: SimulatedHost) -> None:
    host.apply(runtime("r", step("node", image="example.test/missing:1"), nodes=2))
    host.apply(job("demo", "r"))
    host.run(5)
    record = host.record("demo")
    assert record is not None
    assert record.problem is not None
    assert record.problem.count <= 3
    host.flush()
    assert "missing:1" in host.status("demo")["status"]["message"]
    host.world.registry.add("example.test/missing:1")
    host.run(100)
    assert host.running() == {"demo-node-0", "demo-node-1"}
