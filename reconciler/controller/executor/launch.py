"""Creates and starts the containers of pods.

Pods are launched side by side, in rank order; the containers of one pod one after the other. Every launch may
be repeated: what exists already is inspected before it is created again, and what belongs to another owner is
never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import structlog

from reconciler.controller.enforcement.enforcer import PinnedContainer
from reconciler.controller.enforcement.host_paths import HostPathUnansweredError
from reconciler.controller.executor.container_mounts import volume_specs
from reconciler.controller.executor.container_specs import build_container_spec
from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.mounted_files import write_volumes
from reconciler.controller.executor.networks import describe_conflict
from reconciler.controller.executor.placement import Placement
from reconciler.controller.executor.redaction import secret_mask
from reconciler.controller.statemachine.actions import (
    ENGINE_BUSY,
    ENGINE_ERROR,
    HOST_PATH_UNANSWERED,
    NAME_TAKEN,
    ActionResult,
    PodLaunch,
    Started,
)
from reconciler.controller.statemachine.observation import is_current_run
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import (
    Busy,
    Conflict,
    Drifted,
    EngineError,
    EngineUnavailable,
    NotFound,
    PlanError,
    PolicyDenied,
    StartFailed,
    StateError,
)
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan, PodPlan
from reconciler.plan.policy.violations import POLICY_VIOLATION
from reconciler.plan.progress_reporting import remove_pod_reporting
from reconciler.state.record import Record

_log = structlog.get_logger(__name__)


class _NameTakenError(Exception):
    """A container of another owner has the name."""


def launch_pods(
    plan: JobPlan,
    record: Record,
    network: NetworkState,
    launches: Sequence[PodLaunch],
    context: ExecutionContext,
) -> ActionResult:
    """Create and start containers, pods side by side.

    Rank 0's first container exists before any other pod is begun: so no thread of the pool, which the other
    jobs need, waits for another one. Where it cannot be created, the others are left for the next pass.

    Raises:
        EngineUnavailable: the engine went away; the next listing shows what was begun.
    """
    try:
        addresses = plan_addresses(plan, network.subnet, network.gateway)
    except PlanError as error:
        return ActionResult(problem=("AddressesExhausted", str(error)))
    endpoints = context.progress_endpoints(network, False)
    placement = Placement(
        host=context.host,
        network=network,
        addresses=addresses,
        port=network.port or plan.port,
        spec_hash=context.spec_hash,
        progress=endpoints.addresses,
    )
    launcher = _Launcher(plan=plan, record=record, placement=placement, context=context)
    others: list[Future[ActionResult]] = []

    def launch_others(rank_0: Future[bool]) -> None:
        with suppress(RuntimeError):  # the daemon ends
            if rank_0.result():
                others.extend(launcher.submit(launch, False) for launch in launches[1:])

    launcher.rank_0.add_done_callback(launch_others)
    first = launcher.submit(launches[0], True)
    first.add_done_callback(lambda _: launcher.note_rank_0(False))
    results: list[ActionResult] = []
    unavailable: EngineUnavailable | None = None
    # The others are complete when the first has ended: they are submitted by the thread that it runs in.
    for future in chain([first], others):
        try:
            results.append(future.result())
        except EngineUnavailable as error:
            unavailable = error
    if unavailable is not None:
        raise unavailable
    problem = next((r.problem for r in results if r.problem), None)
    failures = tuple(f for r in results for f in r.start_failures)
    if problem or failures:
        # Engines quote what they could not run.
        mask = secret_mask(plan, context.lookup)
        problem = (problem[0], mask(problem[1])) if problem else None
        failures = tuple((name, mask(message)) for name, message in failures)
    return ActionResult(
        started=tuple(s for r in results for s in r.started),
        start_failures=failures,
        limitations=tuple(dict.fromkeys(sentence for r in results for sentence in r.limitations)),
        progress_unavailable=endpoints.problem,
        problem=problem,
    )


@dataclass(frozen=True, kw_only=True)
class _Launcher:
    """Launches the pods of one job; ``rank_0`` says whether the first one's first container was created."""

    plan: JobPlan
    record: Record
    placement: Placement
    context: ExecutionContext
    rank_0: Future[bool] = field(default_factory=Future)

    def launch(self, launch: PodLaunch, is_first: bool) -> ActionResult:
        """Create and start the containers of one pod; a failure ends the pod's launch."""
        pod = self.plan.step(launch.step).pods[launch.index]
        if (pod.step, pod.index) not in self.placement.progress:
            pod = remove_pod_reporting(pod, self.plan.namespace, self.plan.name)
        existing = dict(launch.existing)
        started: list[Started] = []
        limitations: list[str] = []
        name = ""
        try:
            self._prepare_volumes(pod)
            for name in launch.containers:
                started.append(
                    self._launch_container(pod, name, existing.get(name), limitations, is_first=is_first)
                )
        except (StartFailed, Drifted) as error:
            return ActionResult(started=tuple(started), start_failures=((name, str(error)),))
        except EngineUnavailable:
            raise
        except (_NameTakenError, PlanError, PolicyDenied, StateError, EngineError) as error:
            return ActionResult(started=tuple(started), problem=(_problem_reason(error), str(error)))
        return ActionResult(started=tuple(started), limitations=tuple(limitations))

    def submit(self, launch: PodLaunch, is_first: bool) -> Future[ActionResult]:
        """Have a pod launched by a thread of the pool."""
        return self.context.launch_pool.submit(copy_context().run, self.launch, launch, is_first)

    def note_rank_0(self, created: bool) -> None:
        """Rank 0's container exists, or will not exist in this pass; what is known first counts."""
        with suppress(InvalidStateError):
            self.rank_0.set_result(created)

    def _prepare_volumes(self, pod: PodPlan) -> None:
        """Create the volumes and write the files that the pod mounts."""
        if not pod.volumes:
            return
        context = self.context
        context.enforcer.create_host_paths(pod)
        for volume in volume_specs(self.plan, pod, self.record, context.host):
            context.engine.create_volume(context.enforcer.adjust_volume_owner(volume))
        write_volumes(Path(context.host.files), pod, self.placement, context.lookup)

    def _launch_container(
        self, pod: PodPlan, name: str, existing: str | None, limitations: list[str], *, is_first: bool
    ) -> Started:
        context = self.context
        spec = self._build_spec(pod, name)
        with context.enforcer.pin_host_paths(spec, context.engine.sub_path_root) as pinned:
            identifier = self._create(pinned.spec, existing, limitations)
            if is_first:
                self.note_rank_0(True)
            _start(identifier, pinned, context)
        context.logs.follow(identifier, self.record.log_location(name))
        _log.info("container started", container=name, rank=pod.rank, id=identifier[:12])
        return Started(name=name, id=identifier, ip=self.placement.addresses[pod.step, pod.index])

    def _build_spec(self, pod: PodPlan, name: str) -> ContainerSpec:
        """The specification, completed from the engine's image and the policy."""
        context = self.context
        container = next(c for c in pod.containers if c.name == name)
        spec = build_container_spec(
            self.plan, pod, container, record=self.record, placement=self.placement, lookup=context.lookup
        )
        spec = replace(spec, image=context.enforcer.full_image_name(spec.image))
        try:
            return context.enforcer.resolve_image_user(spec, container.security, context.engine.image_user)
        except NotFound:
            context.forget_image(spec.image)
            raise

    def _create(self, spec: ContainerSpec, existing: str | None, limitations: list[str]) -> str:
        """The container's id: created now, or found as a crash has left it."""
        engine = self.context.engine
        pins_paths = any(mount.root for mount in spec.mounts)
        if existing is not None and not pins_paths and self._is_as_specified(existing, spec):
            return existing
        if existing is not None:
            # The daemon that pinned its paths is gone, or it is not what was asked for. Its start may have
            # been under way when that daemon ended, and come through since the listing: it may have ended by
            # now, or start between these two calls.
            if engine.inspect_container(existing).state != "created":
                raise Busy(f"The container {spec.name} has been started meanwhile.")
            engine.remove_container(existing, force=False)
        limitations += engine.limitations(spec)
        try:
            return engine.create_container(spec)
        except Conflict:
            identifier = self._adopt(spec.name)
            if pins_paths or not self._is_as_specified(identifier, spec):
                engine.remove_container(identifier, force=False)
                why = "to pin the paths that it mounts" if pins_paths else "as it is not what was asked for"
                raise Busy(f"The container {spec.name} is created again, {why}.") from None
            return identifier
        except NotFound:
            self.context.forget_image(spec.image)
            raise

    def _is_as_specified(self, container: str, spec: ContainerSpec) -> bool:
        """Whether what an unanswered create has left is what was asked for; nobody has looked yet."""
        try:
            self.context.engine.verify_container(container, spec)
        except Drifted:
            return False
        return True

    def _adopt(self, name: str) -> str:
        """The id of the container that has the name, where a create timed out after it worked."""
        context = self.context
        try:
            found = context.engine.inspect_container(name)
        except NotFound:
            raise Busy(f"The name {name} was taken, by a container that is going.") from None
        if found.id in self.record.strays:
            raise _NameTakenError(
                f"The container that has the name {name} is not this job's, though it carries its labels; "
                f"it is left alone. Remove or rename it (`{context.engine.name} rm -f {name}`)."
            )
        if not all(found.labels.get(k) == v for k, v in context.selector.items()):
            raise _NameTakenError(describe_conflict("container", name, found.labels, context))
        if not is_current_run(found, self.record, name) or found.state != "created":
            raise Busy(f"The container {name} of an earlier run is still there.")
        return found.id


def _start(identifier: str, pinned: PinnedContainer, context: ExecutionContext) -> None:
    try:
        pinned.verify()
    except PolicyDenied:
        context.engine.remove_container(identifier)
        raise
    try:
        context.engine.start_container(identifier)
    except (Busy, Conflict) as error:
        # Something else has its address for the moment, or what else it needs: the next pass makes it again.
        # One that runs all the same (its answer was lost) is not removed, and seen by the next listing.
        with suppress(EngineError):
            context.engine.remove_container(identifier, force=False)
        raise Busy(error.message, remedy=error.remedy) from error


def _problem_reason(error: Exception) -> str:
    """The reason of a problem, as conditions and events show it."""
    match error:
        case _NameTakenError():
            return NAME_TAKEN
        case Busy():
            return ENGINE_BUSY
        case PlanError():
            return "ConfigurationMissing"
        case PolicyDenied():
            return POLICY_VIOLATION
        case HostPathUnansweredError():
            return HOST_PATH_UNANSWERED
        case StateError():
            return "HostError"
    return ENGINE_ERROR
