"""Upstream's conditions and counts over a job's life: every case of conformance/status.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.controller.statemachine.decide import DecisionOptions
from tests.controller.timelines import SimulatedJob, plan_of

FILE = Path(__file__).parents[3] / "shared" / "conformance" / "status.yaml"
CASES = yaml.safe_load(FILE.read_text()) if FILE.exists() else []

#: Need the folder and the daemon, not the decision alone: see tests/controller/test_reconciler.py.
OF_THE_DAEMON = {"runtime-missing", "runtime-edited-while-suspended", "managed-by-another-controller"}


def _play(case: dict[str, Any]) -> None:
    spec = dict(case["trainjob"].get("spec") or {})
    plan = plan_of(case["runtime"], spec=spec)
    ttl = plan.ttl is not None
    job = SimulatedJob.accepted(plan, options=DecisionOptions(auto_remove=not ttl), now=1000.0)
    up = True
    for entry in case["timeline"]:
        until = 1000.0 + entry["t"]
        if up:
            job.advance(until)
        job.now = until
        match entry.get("event"):
            case "create":
                job.converge()
            case "start":
                for name in entry["containers"]:
                    job.start(f"demo-{name}")
            case "exit":
                job.exit(f"demo-{entry['container']}", entry["code"])
            case "edit":
                spec |= entry["spec"]
                job.plan = replace(job.plan, suspend=bool(spec.get("suspend")))
                job.converge()
            case "daemon-stop":
                up = False
            case "daemon-start":
                up = True
                job.converge()
            case "runtime-delete":
                job.converge()
        if "expect" in entry:
            job.converge()
            _check(job, entry["expect"])


def _check(job: SimulatedJob, expect: dict[str, Any]) -> None:
    status = job.status()
    if "conditions" in expect:
        found = {c["type"]: c for c in status["conditions"]}
        assert set(found) == {c["type"] for c in expect["conditions"]}
        for wanted in expect["conditions"]:
            have = found[wanted["type"]]
            assert (have["status"], have["reason"]) == (wanted["status"], wanted["reason"])
            for part in wanted.get("message_contains", ()):
                assert part in have["message"]
    for absent in expect.get("absent_conditions", ()):
        assert absent not in {c["type"] for c in status["conditions"] if c["status"] == "True"}
    counts = {j["name"]: {k: v for k, v in j.items() if k != "name"} for j in status["jobsStatus"]}
    for step, wanted in expect.get("jobs", {}).items():
        assert counts[step] == wanted, step
    if "running" in expect:
        assert job.running() == {f"demo-{n}" for n in expect["running"]}
    for name in expect.get("never_started", ()):
        assert f"demo-{name}" not in job.ever_started
    if "on_engine" in expect:
        assert bool(job.containers or job.network) == expect["on_engine"]
    if "restarts" in expect:
        assert status["restarts"] == expect["restarts"]


@pytest.mark.skipif(not CASES, reason="no conformance data beside this checkout")
@pytest.mark.parametrize(
    "case", [c for c in CASES if c["name"] not in OF_THE_DAEMON], ids=lambda c: c["name"]
)
def test_the_job_goes_through_upstreams_conditions_and_counts(case: dict[str, Any]) -> None:
    _play(case)
