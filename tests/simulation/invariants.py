"""What no fault excuses. Checked as the daemon acts, and again when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reconciler.engines.specs import ContainerSpec
from reconciler.names import (
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_INDEX,
    LABEL_INSTANCE,
    LABEL_JOB,
    LABEL_NAMESPACE,
    LABEL_RANK,
    LABEL_RESTART,
    LABEL_STEP,
    LABEL_UID,
)
from reconciler.state.record import Record
from tests.simulation.world import SimulatedContainer, World

#: Containers that a step of a simulated job has at most.
MOST_AT_ONCE = 8


class BrokenInvariantError(AssertionError):
    """An invariant does not hold; the message says which, of what, and when."""


def job_of(labels: Mapping[str, str]) -> str:
    """``namespace/name`` of the job that owns a thing."""
    return f"{labels.get(LABEL_NAMESPACE)}/{labels.get(LABEL_JOB)}"


def run_of(labels: Mapping[str, str]) -> tuple[str, int]:
    """The life and attempt a container belongs to."""
    return labels[LABEL_UID], int(labels[LABEL_ATTEMPT])


def place_of(labels: Mapping[str, str]) -> tuple[str, int, str]:
    """Step, index and container of the template."""
    return labels[LABEL_STEP], int(labels[LABEL_INDEX]), labels[LABEL_CONTAINER]


class Invariants:
    """The witness of one world; broken rules are kept until somebody asks, as the daemon must not catch them.

    Args:
        world: that is watched.
        instance: the daemon's mark; everything else is foreign.
    """

    def __init__(self, world: World, instance: str) -> None:
        self._world = world
        self._instance = instance
        self.broken: list[str] = []
        self.records: dict[str, Record] = {}
        self.policies: dict[str, Any] = {}
        self._ranks: set[tuple[str, int, int]] = set()
        self._addresses: dict[tuple[str, str, int], str] = {}
        self._masters: dict[tuple[str, str], str] = {}
        #: Starts of each wanted container of an attempt, and how many of its ends nobody's policy counts.
        self.runs: Counter[tuple[str, int, tuple[str, int, str]]] = Counter()
        self._started_runs: set[tuple[str, int, tuple[str, int, str], int]] = set()
        #: Jobs of which the user took the record: what it alone knew may be forgotten, how it ended may not.
        self._forgetful: set[str] = set()

    def check(self) -> None:
        """Raise what was found broken."""
        if self.broken:
            raise BrokenInvariantError("; ".join(self.broken))

    def _break(self, rule: str) -> None:
        self.broken.append(f"at {self._world.now:.1f}: {rule}")

    # -- as the daemon acts

    def creates(self, spec: ContainerSpec) -> None:
        labels = spec.labels
        if labels.get(LABEL_INSTANCE) != self._instance:
            self._break(f"{spec.name} created without the instance's label")
        uid, attempt = run_of(labels)
        if (rank := labels.get(LABEL_RANK)) is not None:
            if rank == "0":
                self._ranks.add((uid, attempt, 0))
            elif (uid, attempt, 0) not in self._ranks:
                self._break(f"{spec.name}: rank {rank} of attempt {attempt} created before rank 0")
        if spec.address:
            self._check_address(spec)

    def _check_address(self, spec: ContainerSpec) -> None:
        # A job that is replaced by another of its name may want other addresses on the network it keeps.
        network = self._world.networks[spec.network].id + "/" + spec.labels[LABEL_UID]
        step, index, _ = place_of(spec.labels)
        known = self._addresses.setdefault((network, step, index), spec.address)
        if job_of(spec.labels) in self._forgetful:
            # The manifest may have changed unnoticed; then the job goes on with other ranks.
            return
        if known != spec.address:
            self._break(f"{spec.name} moved from {known} to {spec.address} on the same network")
        job = job_of(spec.labels)
        others = [p for p, a in self._addresses.items() if p[0] == network and a == spec.address]
        if len(others) > 1:
            self._break(f"{spec.name} got the address {spec.address} of another")
        master = spec.env.get("MASTER_ADDR")
        if master is not None and self._masters.setdefault((network, job), master) != master:
            self._break(f"{spec.name} is told another MASTER_ADDR than its peers")

    def starts(self, container: SimulatedContainer) -> None:
        labels = container.labels
        for other in self._world.containers.values():
            if (
                other.id == container.id
                or not other.live
                or other.copied
                or other.astray
                or other.labels.get(LABEL_INSTANCE) != self._instance
            ):
                continue
            if job_of(other.labels) != job_of(labels):
                continue
            if place_of(other.labels) == place_of(labels):
                self._break(f"{container.name} started while {other.name} ({other.id}) is the same one")
            elif run_of(other.labels) != run_of(labels):
                self._break(
                    f"{container.name} of {run_of(labels)} beside {other.name} of {run_of(other.labels)}"
                )
        run = (*run_of(labels), place_of(labels))
        self.runs[run] += 1
        numbered = (*run, int(labels[LABEL_RESTART]))
        if numbered in self._started_runs and job_of(labels) not in self._forgetful:
            self._break(f"{container.name}: run {numbered[-1]} of attempt {numbered[1]} started twice")
        self._started_runs.add(numbered)
        record = self.records.get(job_of(labels))
        if record is not None and record.uid == labels[LABEL_UID] and (record.finished or record.suspended):
            self._break(f"{container.name} started although its job has ended or is suspended")

    def touches(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        if labels.get(LABEL_INSTANCE) != self._instance:
            self._break(f"the {kind} {name} is not ours and was touched")
        found = self._world.find(name) if kind == "container" else None
        if found is not None and found.copied:
            self._break(f"the container {name} is a copy and was touched")

    def removes(self, container: SimulatedContainer) -> None:
        if container.live:
            self._break(f"{container.name} removed while it runs, without having been stopped")
        if container.printed and not any(
            kept.get(container.id) == container.printed for kept in self._world.kept.values()
        ):
            self._break(f"{container.name} ({container.id}) removed before its log was kept")

    def saved(self, record: Record) -> None:
        """A record has reached the disk."""
        old = self.records.get(record.key)
        self.records[record.key] = record
        if old is None or old.uid != record.uid:
            return
        ended = [c for c in old.conditions if c.type in {"Complete", "Failed"} and c.status == "True"]
        for condition in ended:
            now = record.condition(condition.type)
            if now is None or (now.status, now.reason) != (condition.status, condition.reason):
                self._break(f"{record.key} was {condition.type} ({condition.reason}) and is no more")
        if not ended and record.is_true("Complete") and record.is_true("Failed"):
            self._break(f"{record.key} is both Complete and Failed")
        if record.key in self._forgetful:
            return
        for name in ("attempt", "generation", "restarts", "counted_restarts"):
            if getattr(record, name) < getattr(old, name):
                self._break(f"{record.key}: {name} went from {getattr(old, name)} to {getattr(record, name)}")
        self._check_policy(record)

    def _check_policy(self, record: Record) -> None:
        template = record.runtime.get("spec", {}).get("template", {}).get("spec", {})
        if not template:
            return
        allowed = (template.get("failurePolicy") or {}).get("maxRestarts", 0)
        if record.counted_restarts > allowed:
            self._break(f"{record.key}: {record.counted_restarts} restarts, {allowed} are allowed")
        for step in template["replicatedJobs"]:
            limit = step["template"]["spec"].get("backoffLimit", 6)
            failures = record.step_failures.get(step["name"], 0)
            # All that fails in one moment is counted, even where the first has decided.
            if failures > limit + MOST_AT_ONCE:
                self._break(f"{record.key}: {failures} failures of {step['name']}, limit {limit}")

    def taken_by_hand(self, container: SimulatedContainer) -> None:
        """The user removes a container; a daemon that had not seen it yet makes the same one again."""
        labels = container.labels
        self._started_runs.discard((*run_of(labels), place_of(labels), int(labels[LABEL_RESTART])))

    def record_taken(self, key: str) -> None:
        """The user took the record and left the sidecar."""
        self._forgetful.add(key)

    def forget(self, key: str) -> None:
        """The job is gone, record, sidecar and manifest."""
        self.records.pop(key, None)
        self._forgetful.discard(key)
