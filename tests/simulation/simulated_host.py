"""One host under test: the world, the disk, the user's manifests, and the daemon that is up at the moment.

The daemon is the real :class:`reconciler.controller.controller.Controller` with its informer, queue,
reconciler, capacity, state store and sidecars; only its threads are replaced
(:mod:`tests.simulation.stand_ins`). A kill drops it on the spot, and the next one finds what is on the disk
and on the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.api import Document
from reconciler.config.settings import Settings
from reconciler.controller import engine_session, plan_cache
from reconciler.controller.controller import Controller
from reconciler.controller.informer import Informer
from reconciler.errors import EngineUnavailable, ReconcilerError
from reconciler.names import LABEL_INSTANCE
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import Catalog, FolderState, JobEntry
from reconciler.state.record import Record
from tests.simulation.engine import SimulatedEngine
from tests.simulation.faults import Faults, Killed
from tests.simulation.file_faults import breakable
from tests.simulation.invariants import BrokenInvariantError, Invariants, job_of
from tests.simulation.manifests import IMAGE, document
from tests.simulation.stand_ins import (
    InlineExecutor,
    SimulatedImagePuller,
    SimulatedLogCollector,
    SimulatedProbeRunner,
)
from tests.simulation.world import ContainerBehaviour, SimulatedContainer, World
from tests.support.manifests import LOADER

INSTANCE = "simulated"
RESYNC = 30.0
#: Conditions that are told while they hold, and follow from other parts of the record.
STANDING = frozenset({"UpdateRefused", "Blocked", "EngineFailing", "DiskPressure"})
#: Passes in a row, without time moving on, that no job needs.
MAX_PASSES = 300


class SimulatedHost:
    """See the module; use :func:`simulated_host`.

    Args:
        folder: for specs, records and sidecars.
        behaviour: what started containers do.
        options: of :class:`Settings`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        behaviour: Callable[[SimulatedContainer], ContainerBehaviour] | None = None,
        **options: Any,
    ) -> None:
        self.world = World(images={IMAGE}, registry={IMAGE})
        if behaviour is not None:
            self.world.behaviour = behaviour
        self.faults = Faults()
        self.rules = Invariants(self.world, INSTANCE)
        self.engine = SimulatedEngine(self.world, self.faults, self.rules)
        self.settings = Settings(
            specs=folder / "specs", state_dir=folder / "state", instance=INSTANCE, resync=RESYNC, **options
        )
        self.settings.specs.mkdir(parents=True, exist_ok=True)
        #: The user's files: a TrainJob each; and runtimes by name.
        self.files: dict[str, dict[str, Any]] = {}
        self._documents: dict[tuple[int, str], tuple[dict[str, Any], Document]] = {}
        self.runtimes: dict[str, dict[str, Any]] = {}
        self.folder_state: FolderState = "ok"
        self.broken_files: set[str] = set()
        self.kills = 0
        self.passes = 0
        self.controller: Controller = self._new_controller()
        self._resync_at = self.world.now + RESYNC
        self.phases: list[tuple[str, str]] = []

    # -- the daemon

    def start_daemon(self) -> None:
        """Start a daemon; again where it is killed while it starts."""
        while True:
            try:
                self.controller = self._new_controller()
                self._connect()
                self.controller.update_catalog(self.catalog())
                return
            except Killed:
                self.kills += 1

    def _new_controller(self) -> Controller:
        made = Controller(self.settings, clock=self.world, on_phase=self._told)
        made.state._sidecars._clock = lambda: self.world.now
        return made

    def _told(self, key: str, document: Mapping[str, Any]) -> None:
        self.phases.append((key, document["status"]["phase"]))

    def _connect(self) -> None:
        try:
            self.controller.connect(self.engine)  # type: ignore[arg-type]
        except EngineUnavailable as error:
            self.controller.set_engine_unavailable(error)
        else:
            self.controller.informer.relist()
        self._resync_at = self.world.now + RESYNC

    def restarting_if_killed(self, act: Callable[[], Any]) -> Any:
        """Let the daemon do something; where it is killed over it, the next one starts."""
        try:
            return act()
        except Killed:
            self.kills += 1
            self.start_daemon()
            return None

    def one_pass(self) -> bool:
        """One pass over the next key; False when there is none."""
        queue = self.controller._queue
        key = None if queue.idle() else queue.get()
        if key is None:
            return False
        self.passes += 1
        self.restarting_if_killed(lambda: self._pass(key))
        self.rules.check()
        return True

    def _pass(self, key: str) -> None:
        reconcile = self.controller._reconcile

        def watched(key: str) -> float | None:
            try:
                return reconcile(key)
            except ReconcilerError:
                raise
            except Exception as error:
                self.rules.broken.append(f"error of this program in {key}: {error!r}")
                raise

        self.controller._reconcile = watched  # type: ignore[method-assign]
        try:
            self.controller._process(key)
        except Exception as error:  # noqa: BLE001  (it would have ended the worker's thread)
            self.rules.broken.append(f"a worker died over {key}: {error!r}")
        del self.controller._reconcile
        self.controller._queue.done(key)

    def drain(self) -> int:
        """Passes until the queue is empty at this moment."""
        for count in range(MAX_PASSES):
            self.deliver_events()
            if not self.one_pass():
                return count
        raise BrokenInvariantError(f"no rest after {MAX_PASSES} passes at one moment")

    def deliver_events(self) -> None:
        """Every event there is arrives, in order."""
        connected = self.connected
        events, self.world.events = self.world.events, []
        for event in events:
            if connected is not None:
                self.controller.informer.handle_event(event.labels)

    # -- the user

    def catalog(self) -> Catalog:
        """What the folder's reader says of the files."""
        self._put_files()
        jobs: dict[str, JobEntry] = {}
        for name, raw in self.files.items():
            file = str(self.settings.specs / name)
            doc = self._read(raw, file)
            key = f"default/{doc.name}"
            broken = name in self.broken_files
            jobs[key] = JobEntry(
                key=key,
                document=None if broken else doc,
                candidate=None if broken else doc,
                stale=broken,
                file=file,
            )
        runtimes = {
            (raw["kind"], "", name): self._read(raw, str(self.settings.specs / f"runtime-{name}.yaml"))
            for name, raw in self.runtimes.items()
        }
        if self.folder_state != "ok":
            jobs = dict(self.controller.informer.catalog.jobs)
            runtimes = dict(self.controller.informer.catalog.runtimes)
        doubtful = frozenset(str(self.settings.specs / name) for name in self.broken_files)
        return Catalog(jobs=jobs, runtimes=runtimes, unprunable_paths=doubtful, state=self.folder_state)

    def _read(self, raw: dict[str, Any], file: str) -> Document:
        """The manifest as a document; manifests are replaced, never changed, so each is read once."""
        key = id(raw), file
        if key not in self._documents:
            # Kept with it, so that no other object gets its id.
            self._documents[key] = raw, document(raw, file)
        return self._documents[key][1]

    def _put_files(self) -> None:
        """The manifests as files, empty: who looks for sidecars without one looks at names alone."""
        there = {p.name for p in self.settings.specs.iterdir() if not p.name.endswith(".status.yaml")}
        for name in self.files.keys() - there:
            (self.settings.specs / name).touch()
        for name in there - self.files.keys():
            (self.settings.specs / name).unlink()

    def apply(self, raw: dict[str, Any], *, file: str = "") -> None:
        """The user writes a manifest."""
        if raw["kind"] == "TrainJob":
            self.files[file or f"{raw['metadata']['name']}.yaml"] = raw
        else:
            self.runtimes[raw["metadata"]["name"]] = raw
        self.scan()

    def edit(self, file: str, **spec: Any) -> None:
        """The user changes fields of a job's spec."""
        raw = self.files[file]
        self.files[file] = {**raw, "spec": {**raw["spec"], **spec}}
        self.scan()

    def delete(self, file: str) -> None:
        """The user removes a manifest."""
        del self.files[file]
        self.broken_files.discard(file)
        self.scan()

    def scan(self) -> None:
        """The folder is read."""
        self.restarting_if_killed(lambda: self.controller.update_catalog(self.catalog()))

    # -- time

    def next_due(self) -> float:
        """When something happens by itself."""
        skew = self.world.skew
        timers = self.controller._queue._timers
        connected = self.connected
        wakes = [when - skew for when, _ in connected.probe_runner.wakes] if connected is not None else []
        wakes += [when for when, _ in connected.logs.wakes] if connected is not None else []
        ends = self.world.next_end()
        return min(
            [self._resync_at, *wakes, *([timers[0][0] - skew] if timers else []), *([ends] if ends else [])]
        )

    def advance(self, until: float) -> None:
        """Time passes until a moment; what falls due there falls due."""
        pulled = self.world.advance(until)
        self.restarting_if_killed(lambda: self._fall_due(pulled))
        self.rules.check()

    def _fall_due(self, pulled: list[str]) -> None:
        connected = self.connected
        if connected is None and self.world.up:
            self._connect()
        if connected is not None:
            for image in pulled:
                connected.image_puller.pulled(image)
            now = self.world.clock()
            wakes = connected.probe_runner.wakes
            connected.probe_runner.wakes = [w for w in wakes if w[0] > now]
            logs, connected.logs.wakes = connected.logs.wakes, []
            connected.logs.wakes = [w for w in logs if w[0] > self.world.now]
            read = [w for w in logs if w[0] <= self.world.now]
            for _, key in [w for w in wakes if w[0] <= now] + read:
                self.controller._queue.add(key)
        self.controller.informer.check_clock()
        self.controller.state.flush()
        if self.world.now >= self._resync_at:
            self._resync_at = self.world.now + RESYNC
            self.controller.update_catalog(self.catalog())
            self.controller.informer.relist()

    def run(self, seconds: float) -> None:
        """Let the daemon work for so long."""
        until = self.world.now + seconds
        self.drain()
        while (due := self.next_due()) <= until:
            self.advance(max(due, self.world.now))
            self.drain()
        self.advance(until)
        self.drain()

    def flush(self) -> None:
        """Statuses are written out."""
        self.restarting_if_killed(lambda: self.controller.state.flush(everything=True))

    def set_clock(self, by: float) -> None:
        """Somebody sets the host's clock; the daemon notices with the next thing that falls due, or sooner."""
        self.world.skew += by

    # -- looking

    @property
    def connected(self) -> Any:
        """The daemon's engine and what goes with it; None before one has answered."""
        return self.controller._engine.connected

    def record(self, name: str) -> Record | None:
        """A job's record, from the disk."""
        return self.controller.state._records.load(f"default/{name}")

    def status(self, name: str) -> dict[str, Any]:
        """A job's sidecar, from the disk."""
        for path in self.settings.specs.glob("*.status.yaml"):
            for doc in yaml.load_all(path.read_text(), LOADER):
                if doc["metadata"]["name"] == name:
                    return dict(doc)
        return {}

    def container(self, name: str) -> SimulatedContainer:
        """A container, by name."""
        found = self.world.find(name)
        assert found is not None, (
            f"there is no {name}; there are {[b.name for b in self.world.containers.values()]}"
        )
        return found

    def running(self) -> set[str]:
        """Names of the containers that run."""
        return {b.name for b in self.world.containers.values() if b.state == "running"}

    def owned_containers(self) -> list[SimulatedContainer]:
        """Containers with this instance's label."""
        return self.world.carrying({LABEL_INSTANCE: INSTANCE})

    def made_containers(self) -> list[SimulatedContainer]:
        """The same without somebody's copies."""
        return [container for container in self.owned_containers() if not container.copied]

    def check_at_rest(self) -> None:
        """What must hold when everything has come to rest."""
        self.rules.check()
        self.flush()
        wanted = {f"default/{raw['metadata']['name']}" for raw in self.files.values()}
        for container in self.made_containers():
            if job_of(container.labels) not in wanted:
                raise BrokenInvariantError(f"{container.name} is an orphan")
        for network in self.world.networks.values():
            if network.labels.get(LABEL_INSTANCE) == INSTANCE and job_of(network.labels) not in wanted:
                raise BrokenInvariantError(f"the network {network.name} is an orphan")
        for volume, labels in self.world.volumes.items():
            if labels.get(LABEL_INSTANCE) == INSTANCE and job_of(labels) not in wanted:
                raise BrokenInvariantError(f"the volume {volume} is an orphan")
        records = set(self.controller.state._records.keys())
        if records - wanted:
            raise BrokenInvariantError(f"records of jobs that are gone: {records - wanted}")
        stems = {Path(file).stem for file in self.files}
        left = {p.name for p in self.settings.specs.glob("*.status.yaml")} - {
            f"{s}.status.yaml" for s in stems
        }
        if left:
            raise BrokenInvariantError(f"sidecars of manifests that are gone: {sorted(left)}")
        for file in self.files:
            self._check_job(file)

    def _check_job(self, file: str) -> None:
        name = self.files[file]["metadata"]["name"]
        record = self.record(name)
        if record is None:
            raise BrokenInvariantError(f"{name} has no record")
        told = self.status(name)
        if not told:
            raise BrokenInvariantError(f"{name} has no sidecar")
        if not (self.settings.specs / f"{Path(file).stem}.status.yaml").exists():
            raise BrokenInvariantError(f"the sidecar of {file} is not beside it")
        status = told["status"]
        lasting = [c for c in status["conditions"] if c["type"] not in STANDING]
        conditions = [(c["type"], c["status"], c["reason"]) for c in lasting]
        recorded = [(c.type, c.status, c.reason) for c in record.conditions]
        if (
            told["metadata"].get("uid") != record.uid
            or conditions != recorded
            or status["attempt"] != record.attempt
        ):
            raise BrokenInvariantError(f"{name}: record and sidecar differ: {recorded} and {conditions}")
        containers = [b for b in self.made_containers() if job_of(b.labels) == record.key]
        if (record.finished and self.settings.auto_remove) or record.suspended:
            if containers:
                raise BrokenInvariantError(
                    f"{name} has ended or is suspended, and has {[b.name for b in containers]}"
                )
            if record.finished and f"{name}-network" in self.world.networks:
                network = self.world.networks[f"{name}-network"]
                if network.labels.get(LABEL_INSTANCE) == INSTANCE:
                    raise BrokenInvariantError(f"{name} has ended, and its network is left")
        stated = (
            record.finished
            or record.suspended
            or any(b.live for b in containers)
            or bool(status.get("message"))
            or record.attempt_not_before > self.world.clock()
        )
        if not stated:
            raise BrokenInvariantError(
                f"{name} neither ends nor says why: {status['phase']}, {status['events'][-3:]}"
            )
        if status["phase"] in {"Complete", "Failed"} and not record.finished:
            raise BrokenInvariantError(f"{name} is told {status['phase']} and is not")


@contextmanager
def simulated_host(folder: Path, **options: Any) -> Iterator[SimulatedHost]:
    """A host whose daemon is up, over an empty folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_cache, "build_plan", _build_once(plan_cache.build_plan))
        patch.setattr(engine_session, "LogCollector", SimulatedLogCollector)
        patch.setattr(engine_session, "ImagePuller", SimulatedImagePuller)
        patch.setattr(engine_session, "ProbeRunner", SimulatedProbeRunner)
        patch.setattr(engine_session, "DaemonThreadPool", InlineExecutor)
        patch.setattr(Informer, "watch_events", lambda _self, _engine: None)
        made = SimulatedHost(folder, **options)
        with breakable(made.faults, made.rules.saved, made.rules.forget):
            made.start_daemon()
            yield made


def _build_once(build: Callable[[Record], JobPlan]) -> Callable[[Record], JobPlan]:
    """Planning is pure: a plan once made serves every daemon of the run."""

    @lru_cache(maxsize=512)
    def made(job: str, runtime: str, uid: str) -> JobPlan:
        record = Record(
            namespace="default",
            name="x",
            uid=uid,
            created_at=0,
            job=json.loads(job),
            runtime=json.loads(runtime),
        )
        return build(record)

    def plan(record: Record) -> JobPlan:
        return made(
            json.dumps(record.job, sort_keys=True), json.dumps(record.runtime, sort_keys=True), record.uid
        )

    return plan
