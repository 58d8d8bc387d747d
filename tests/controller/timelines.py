"""Plays a timeline of container starts and exits against the pure decision, on a clock of its own.

There is no engine: containers are entries of a dict, created by ``Launch`` and started by the timeline. This
tests the decision; tests/engines and tests/e2e test what engines do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from reconciler.controller.statemachine.actions import (
    Admit,
    CleanUp,
    EnsureNetwork,
    Launch,
    PodLaunch,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.decide import Decision, DecisionOptions, decide
from reconciler.controller.statemachine.observation import ImageState, LogState, Observed
from reconciler.controller.status.status_builder import StatusContext, build_status
from reconciler.engines.protocol import ContainerState, ExitFacts, NetworkState
from reconciler.names import (
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_INDEX,
    LABEL_RESTART,
    LABEL_STEP,
    LABEL_UID,
)
from reconciler.plan.job_plan import ContainerPlan, Dependency, FailureRule, JobPlan, PodPlan, StepPlan
from reconciler.state.record import Record

MAX_PASSES = 30


def node(count: int = 1, **fields: Any) -> dict[str, Any]:
    """A step of training nodes."""
    return {"name": "node", "containers": count, **fields}


def simulate(*steps: dict[str, Any], options: DecisionOptions | None = None, **runtime: Any) -> SimulatedJob:
    """A job whose first containers are created."""
    job = SimulatedJob.accepted(plan_of({"steps": list(steps), **runtime}), options=options)
    job.converge()
    return job


def plan_of(
    runtime: dict[str, Any],
    *,
    name: str = "demo",
    spec: dict[str, Any] | None = None,
    image: str = "example/train:1",
) -> JobPlan:
    """A plan of bare containers from the short form that the timelines use."""
    spec = spec or {}
    steps = tuple(_step(name, s, image) for s in runtime["steps"])
    policy = runtime.get("failurePolicy")
    success = runtime.get("successPolicy") or {}
    return JobPlan(
        namespace="default",
        name=name,
        nodes=max(s.count for s in steps),
        network=f"{name}-net",
        steps=steps,
        suspend=bool(spec.get("suspend")),
        max_restarts=policy.get("maxRestarts", 0) if policy is not None else None,
        failure_rules=tuple(
            FailureRule(
                name=r["name"],
                action=r["action"],
                reasons=tuple(r.get("onJobFailureReasons", ())),
                patterns=tuple(r.get("onJobFailureMessagePatterns", ())),
                targets=tuple(r.get("targetReplicatedJobs", ())),
            )
            for r in (policy or {}).get("rules", ())
        ),
        success_operator=success.get("operator", "All"),
        success_targets=tuple(success.get("targetReplicatedJobs", ())),
        active_deadline=spec.get("activeDeadlineSeconds"),
        ttl=runtime.get("ttlSecondsAfterFinished"),
        annotations=runtime.get("annotations", {}),
    )


def _step(job: str, step: dict[str, Any], image: str) -> StepPlan:
    name = step["name"]
    after = tuple(Dependency(name=a["name"], status=a["status"]) for a in step.get("after", ()))
    pods = tuple(
        PodPlan(
            step=name,
            index=i,
            rank=i if name == "node" else None,
            name=f"{job}-{name}-{i}",
            hostname=f"{job}-{name}-{i}",
            containers=tuple(
                ContainerPlan(
                    name=f"{job}-{name}-{i}" if c == "main" else f"{job}-{name}-{i}-{c}",
                    container=c,
                    kind=kind,
                    primary=c == "main",
                    image=image,
                )
                for c, kind in step.get("pod", {"main": "main"}).items()
            ),
        )
        for i in range(step["containers"])
    )
    return StepPlan(
        name=name,
        role=name if name.endswith("-initializer") else ("trainer" if name == "node" else ""),
        after=after,
        pods=pods,
        backoff_limit=step.get("backoffLimit", 6),
        restart_policy=step.get("restartPolicy", "OnFailure"),
        active_deadline=step.get("activeDeadlineSeconds"),
        exit_rules=step.get("exitRules", ()),
    )


@dataclass
class SimulatedJob:
    """A job, its record and simulated containers; ``now`` moves only by ``advance``."""

    plan: JobPlan
    record: Record
    options: DecisionOptions = field(default_factory=DecisionOptions)
    now: float = 1000.0
    containers: dict[str, ContainerState] = field(default_factory=dict)
    network: NetworkState | None = None
    #: Name to how far its log is, where it is not whole.
    logs: dict[str, LogState] = field(default_factory=dict)
    requeue_at: float | None = None
    ever_started: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    ids: int = 0

    @classmethod
    def accepted(cls, plan: JobPlan, *, options: DecisionOptions | None = None, now: float = 1000.0) -> Self:
        """A job that was just accepted."""
        record = Record(namespace=plan.namespace, name=plan.name, uid="u1", created_at=now, clock_from=now)
        return cls(plan=plan, record=record, options=options or DecisionOptions(), now=now)

    def observed(self) -> Observed:
        """What an engine would list."""
        images = {
            c.image: ImageState(image=c.image, status="present") for i in self.plan.pods for c in i.containers
        }
        there = self.containers
        logs = {there[name].id: log for name, log in self.logs.items() if name in there}
        return Observed(containers=tuple(there.values()), network=self.network, images=images, logs=logs)

    def decide(self, observed: Observed | None = None, *, now: float | None = None) -> Decision:
        """The decision now, by what the engine lists or what is given, without acting on it."""
        seen = observed if observed is not None else self.observed()
        return decide(self.plan, seen, self.record, now if now is not None else self.now, self.options)

    def converge(self) -> None:
        """Decide and act until nothing is left to do now."""
        for _ in range(MAX_PASSES):
            before = dict(self.containers), self.record
            decision = self.decide()
            self.record, self.requeue_at = decision.record, decision.requeue_at
            for action in decision.actions:
                self._do(action)
            if (dict(self.containers), self.record) == before:
                return
        raise AssertionError(f"no rest after {MAX_PASSES} passes: {decision.actions}")

    def advance(self, until: float) -> None:
        """Let time pass, waking at every time the decision asked for."""
        while self.requeue_at is not None and self.requeue_at <= until:
            self.now = max(self.now, self.requeue_at)
            self.converge()
            if self.requeue_at is not None and self.requeue_at <= self.now:
                break
        self.now = until

    def start(self, name: str) -> None:
        """The container has come up."""
        state = self.containers[name]
        assert state.state == "created", f"{name} is {state.state}"
        self.containers[name] = replace(state, state="running", started_at=self.now)
        self.ever_started.add(name)
        self.converge()

    def start_all(self) -> None:
        """All that is created has come up, and all that follows from it."""
        while created := [name for name, state in self.containers.items() if state.state == "created"]:
            self.start(created[0])

    def exit(self, name: str, code: int | None, **facts: Any) -> None:
        """The container has ended."""
        state = self.containers[name]
        assert state.state == "running", f"{name} is {state.state}"
        self.containers[name] = replace(
            state, state="exited", exit=ExitFacts(code=code, finished_at=self.now, **facts)
        )
        self.converge()

    def vanish(self, name: str) -> None:
        """Somebody removed the container."""
        del self.containers[name]
        self.converge()

    def status(self) -> dict[str, Any]:
        """The status as the sidecar would show it now."""
        return build_status(self.plan, self.observed(), self.record, StatusContext())["status"]

    def end(self) -> tuple[str, str]:
        """Type and reason of the condition that says how the job ended."""
        (end,) = [c for c in self.status()["conditions"] if c["type"] in {"Complete", "Failed"}]
        return end["type"], end["reason"]

    def running(self) -> set[str]:
        """Names of the containers that run."""
        return {n for n, c in self.containers.items() if c.state == "running"}

    def _do(self, action: object) -> None:
        match action:
            case Admit():
                self.record = self.record.model_copy(update={"admitted": True})
            case EnsureNetwork():
                if self.network is None:
                    self.ids += 1
                    self.network = NetworkState(
                        id=f"n{self.ids}", name=self.plan.network, labels={}, subnet="10.9.0.0/24"
                    )
                self.record = self.record.model_copy(update={"network_id": self.network.id})
            case PullImages():
                pass
            case Launch():
                for launch in action.pods:
                    self._launch(launch)
            case Remove():
                for state in action.containers:
                    self.log.append(f"remove {state.name}")
                    self.containers.pop(state.name, None)
            case Stop():
                for state in action.containers:
                    self.log.append(f"stop {state.name}")
                    self.containers[state.name] = replace(
                        state, state="exited", exit=ExitFacts(code=143, finished_at=self.now)
                    )
            case CleanUp():
                self.network = None
                self.record = self.record.model_copy(update={"cleaned": True})

    def _launch(self, action: PodLaunch) -> None:
        pod = self.plan.step(action.step).pods[action.index]
        for name in action.containers:
            if name in self.containers:
                continue
            container = next(c for c in pod.containers if c.name == name)
            self.ids += 1
            self.log.append(f"launch {name}")
            self.containers[name] = ContainerState(
                id=f"c{self.ids}",
                name=name,
                state="created",
                created_at=self.now,
                labels={
                    LABEL_UID: self.record.uid,
                    LABEL_ATTEMPT: str(self.record.attempt),
                    LABEL_RESTART: str(self.record.container(name).restart),
                    LABEL_STEP: action.step,
                    LABEL_INDEX: str(action.index),
                    LABEL_CONTAINER: container.container,
                },
            )
