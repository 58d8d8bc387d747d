"""What stands in for the parts of the daemon that are threads: log keeper, image puller, prober, executors.

They keep the contract of the real ones (which have tests of their own) and do everything in the caller's
thread, at the simulated time.
"""

# ruff: noqa: ARG002  (they have the signatures of the real ones)
from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from reconciler.controller.statemachine.observation import (
    ImageState,
    LogState,
    Observed,
    ProbeResults,
    container_identity,
)
from reconciler.engines.protocol import RegistryAuth
from reconciler.errors import EngineError, NotFound
from reconciler.plan.job_plan import JobPlan, PodPlan
from reconciler.state.kept_logs.log_paths import LogLocation
from tests.simulation.engine import SimulatedEngine

PULL_SECONDS = 3.0
PULL_RETRY = 10.0
LOG_TRIES = 20
#: Seconds that every third log takes, and until a failed reading is tried again.
LOG_SECONDS = 2.0
SLOW_LOGS = 3
LOG_RETRY = 1.0


class SimulatedLogCollector:
    """Reads a container's log when it is asked to finish it; some logs take two seconds of the world's time."""

    def __init__(
        self,
        engine: SimulatedEngine,
        log_dir: Path,
        *,
        clock: Callable[[], float],
        on_change: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._log_dir = log_dir
        #: When a log that takes its time is whole, and the job that it is of.
        self.wakes: list[tuple[float, str]] = []
        self._slow: dict[tuple[str, float | None], float] = {}
        self._states: dict[str, LogState] = {}

    def path(self, place: LogLocation) -> Path:
        path = place.path(self._log_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def follow(self, container_id: str, place: LogLocation) -> LogState:
        """The real one begins to read here; ends are all that matters to decisions."""
        return LogState("following")

    def wait(self, containers: object, *, timeout: float) -> None:
        """Nobody reads on the side here."""

    def is_reading(self) -> bool:
        return bool(self.wakes)

    def was_completed(self, container_id: str, place: LogLocation) -> bool:
        return container_id in self._kept(place)

    def state(self, container_id: str) -> LogState | None:
        state = self._states.get(container_id)
        if state is not None and state.progress == "reading" and not self._engine.world.find(container_id):
            return LogState("lost", "It was removed.")
        return state

    def finish(self, container_id: str, place: LogLocation, *, ended_at: float | None) -> LogState:
        state = self._finish(container_id, place, ended_at)
        self._states[container_id] = state
        return state

    def _finish(self, container_id: str, place: LogLocation, ended_at: float | None) -> LogState:
        now, run = self._engine.world.now, (container_id, ended_at)
        if run not in self._slow:
            self._slow[run] = now + LOG_SECONDS if int(container_id[1:]) % SLOW_LOGS == 0 else now
        if now < self._slow[run] or not self._read(container_id, place):
            self.wakes.append((max(self._slow[run], now + LOG_RETRY), f"{place.namespace}/{place.job}"))
            return LogState("reading")
        return LogState("whole")

    def _read(self, container_id: str, place: LogLocation) -> bool:
        misses = 0
        for _ in range(LOG_TRIES):
            try:
                data = b"".join(self._engine.logs(container_id, follow=False))
            except NotFound:
                # The real one reads while the container is there; a 404 that was none must not cost a log
                # here.
                misses += 1
                if misses > 2:
                    return container_id in self._kept(place)
                continue
            except EngineError:
                continue
            self._engine.world.kept.setdefault(_kept_as(place), {})[container_id] = data
            return True
        return False

    def tail(self, place: LogLocation, lines: int) -> list[str]:
        return b"".join(self._kept(place).values()).decode().splitlines()[-lines:]

    def _kept(self, place: LogLocation) -> Mapping[str, bytes]:
        return self._engine.world.kept.get(_kept_as(place), {})

    def seconds_since_output(self, container_id: str) -> float | None:
        return None

    def close(self, *, timeout: float = 5.0) -> None:
        pass


def _kept_as(place: LogLocation) -> tuple[str, str, int, str]:
    return place.namespace, place.job, place.attempt, place.container


class SimulatedImagePuller:
    """Pulls take three seconds of the world's time."""

    def __init__(
        self, engine: SimulatedEngine, *, on_change: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._failed: dict[str, ImageState] = {}

    def request(self, image: str, policy: str, *, token: str, auth: RegistryAuth | None) -> ImageState:
        world = self._engine.world
        if image in world.pulls:
            return ImageState(image=image, status="pulling")
        try:
            if self._engine.image_exists(image):
                return ImageState(image=image, status="present")
        except EngineError as error:
            return ImageState(image=image, status="failed", message=str(error), retry_at=world.clock() + 1)
        if policy == "Never":
            message = f"{image} is not there."
            return ImageState(
                image=image, status="absent", message=message, retry_at=world.clock() + PULL_RETRY
            )
        failed = self._failed.get(image)
        if (
            failed is not None
            and failed.retry_at is not None
            and 0 < failed.retry_at - world.clock() <= PULL_RETRY
        ):
            return failed
        world.pulls[image] = world.now + PULL_SECONDS
        return ImageState(image=image, status="pulling")

    def pulled(self, image: str) -> None:
        """The time of a pull is over."""
        try:
            self._engine.pull_image(image, auth=None, progress=lambda _: None)
            self._failed.pop(image, None)
        except EngineError as error:
            retry_at = self._engine.world.clock() + PULL_RETRY
            state = ImageState(image=image, status="failed", message=str(error), retry_at=retry_at)
            self._failed[image] = state
        self._on_change(image)

    def state(self, image: str) -> ImageState:
        status: Any = "pulling" if image in self._engine.world.pulls else "absent"
        return ImageState(image=image, status=status)

    def forget(self, image: str) -> None:
        """Nothing is remembered of images that are there."""

    def close(self) -> None:
        pass


class SimulatedProbeRunner:
    """A container is ready when it has run for as long as its probe's initial delay."""

    def __init__(
        self, engine: SimulatedEngine, *, reaches: Callable[[PodPlan], bool], on_change: Callable[[str], None]
    ) -> None:
        self._world = engine.world
        #: When a probe's delay ends, and the job that it is of.
        self.wakes: list[tuple[float, str]] = []

    def sync(self, plan: JobPlan, observed: Observed, addresses: Mapping[Any, str]) -> ProbeResults:
        delays = {
            (i.step, i.index, c.container): c.readiness.initial_delay
            for i in plan.pods
            for c in i.containers
            if c.readiness is not None
        }
        found = set()
        for state in observed.containers:
            delay = delays.get(container_identity(state))
            if delay is None or state.state != "running" or state.started_at is None:
                continue
            if self._world.clock() >= state.started_at + delay:
                found.add(state.id)
            else:
                self.wakes.append((state.started_at + delay, f"{plan.namespace}/{plan.name}"))
        return ProbeResults(ready=frozenset(found))

    def close(self) -> None:
        pass


class InlineExecutor:
    """An executor that does its tasks in the order they came, when the first result is wanted.

    The first one's promise (rank 0 exists before the others) is kept.
    """

    def __init__(self, _width: int, _name: str, **_limits: int) -> None:
        self._waiting: list[tuple[_Later, Callable[[], Any]]] = []

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        later = _Later(self)
        self._waiting.append((later, lambda: function(*args, **options)))
        return later

    def work(self) -> None:
        """Do all that was submitted."""
        tasks, self._waiting = self._waiting, []
        for later, task in tasks:
            try:
                later.set_result(task())
            except Exception as error:  # noqa: BLE001  (as executors do; Killed goes through)
                later.set_exception(error)

    def shutdown(self, **_options: Any) -> None:
        pass


class _Later(Future[Any]):
    def __init__(self, executor: InlineExecutor) -> None:
        super().__init__()
        self._executor = executor

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self._executor.work()
        return super().result(timeout)
