"""One host under test: the world, the disk, the user's manifests, and the daemon that is up at the moment.

The daemon is the real :class:`reconciler.controller.controller.Work` with its reconciler, queue, ledger, outlet, records
and sidecars; only its threads are replaced (:mod:`tests.simulation.stand_ins`). A kill drops it on the spot, and
the next one finds what is on the disk and on the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from reconciler.config.settings import Settings
from reconciler.controller import controller, plan_cache
from reconciler.controller.controller import Work
from reconciler.errors import EngineUnavailable, ReconcilerError
from reconciler.names import LABEL_INSTANCE
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import Catalog, FolderState, JobEntry
from reconciler.state.record import Record
from tests.simulation.disk import breakable
from tests.simulation.engine import SimulatedEngine
from tests.simulation.faults import Faults, Killed
from tests.simulation.manifests import IMAGE, document
from tests.simulation.rules import BrokenRuleError, Rules, job_of
from tests.simulation.stand_ins import SimulatedAttachment
from tests.simulation.world import Box, Fate, World

INSTANCE = "simulated"
RESYNC = 30.0
#: Conditions that are told while they hold, and follow from other parts of the record.
STANDING = frozenset({"UpdateRefused", "Blocked"})
#: Passes in a row, without time moving on, that no job needs.
MAX_PASSES = 300


class Site:
    """See the module; use :func:`site`.

    Args:
        folder: for specs, records and sidecars.
        fate: what started containers do.
        options: of :class:`Settings`.
    """

    def __init__(self, folder: Path, *, fate: Callable[[Box], Fate] | None = None, **options: Any) -> None:
        self.world = World(images={IMAGE}, registry={IMAGE})
        if fate is not None:
            self.world.fate = fate
        self.faults = Faults()
        self.rules = Rules(self.world, INSTANCE)
        self.engine = SimulatedEngine(self.world, self.faults, self.rules)
        self.settings = Settings(
            specs=folder / "specs", state_dir=folder / "state", instance=INSTANCE, resync=RESYNC, **options
        )
        self.settings.specs.mkdir(parents=True, exist_ok=True)
        #: The user's files: a TrainJob each; and runtimes by name.
        self.files: dict[str, dict[str, Any]] = {}
        self.runtimes: dict[str, dict[str, Any]] = {}
        self.folder_state: FolderState = "ok"
        self.broken_files: set[str] = set()
        self.kills = 0
        self.passes = 0
        self.work: Work = self._new_work()
        self._resync_at = self.world.now + RESYNC
        self.phases: list[tuple[str, str]] = []

    # -- the daemon

    def boot(self) -> None:
        """Start a daemon; again where it is killed while it starts."""
        while True:
            try:
                self.work = self._new_work()
                self._attach()
                self.work.take(self.catalog())
                return
            except Killed:
                self.kills += 1

    def _new_work(self) -> Work:
        made = Work(self.settings, clock=self.world, on_phase=self._told)
        made._sidecars._clock = lambda: self.world.now
        return made

    def _told(self, key: str, document: Mapping[str, Any]) -> None:
        self.phases.append((key, document["status"]["phase"]))

    def _attach(self) -> None:
        try:
            self.work.attach(self.engine)  # type: ignore[arg-type]
        except EngineUnavailable as error:
            self.work.no_engine(error)
        else:
            self.work.resync()
        self._resync_at = self.world.now + RESYNC

    def surviving(self, act: Callable[[], Any]) -> Any:
        """Let the daemon do something; where it is killed over it, the next one starts."""
        try:
            return act()
        except Killed:
            self.kills += 1
            self.boot()
            return None

    def one_pass(self) -> bool:
        """One pass over the next key; False when there is none."""
        key = self.work._queue.get(timeout=0)
        if key is None:
            return False
        self.passes += 1
        self.surviving(lambda: self._pass(key))
        self.rules.check()
        return True

    def _pass(self, key: str) -> None:
        reconcile = self.work._reconcile

        def watched(key: str) -> float | None:
            try:
                return reconcile(key)
            except ReconcilerError:
                raise
            except Exception as error:
                self.rules.broken.append(f"error of this program in {key}: {error!r}")
                raise

        self.work._reconcile = watched  # type: ignore[method-assign]
        try:
            self.work._pass(key)
        except Exception as error:  # noqa: BLE001  (it would have ended the worker's thread)
            self.rules.broken.append(f"a worker died over {key}: {error!r}")
        del self.work._reconcile
        self.work._queue.done(key)

    def drain(self) -> int:
        """Passes until the queue is empty at this moment."""
        for count in range(MAX_PASSES):
            self.hear()
            if not self.one_pass():
                return count
        raise BrokenRuleError(f"no rest after {MAX_PASSES} passes at one moment")

    def hear(self) -> None:
        """Every event there is arrives, in order."""
        attachment = self.attachment
        events, self.world.events = self.world.events, []
        for event in events:
            if attachment is not None:
                attachment.heard(event.labels)

    # -- the user

    def catalog(self) -> Catalog:
        """What the folder's reader says of the files."""
        self._put_files()
        jobs: dict[str, JobEntry] = {}
        for name, raw in self.files.items():
            file = str(self.settings.specs / name)
            doc = document(raw, file)
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
            (raw["kind"], "", name): document(raw, str(self.settings.specs / f"runtime-{name}.yaml"))
            for name, raw in self.runtimes.items()
        }
        if self.folder_state != "ok":
            jobs = dict(self.work.catalog.jobs)
            runtimes = dict(self.work.catalog.runtimes)
        doubtful = frozenset(str(self.settings.specs / name) for name in self.broken_files)
        return Catalog(jobs=jobs, runtimes=runtimes, doubtful=doubtful, state=self.folder_state)

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
        self.surviving(lambda: self.work.take(self.catalog()))

    # -- time

    def next_due(self) -> float:
        """When something happens by itself."""
        skew = self.world.skew
        timers = self.work._queue._timers
        wakes = [when - skew for when, _ in self.attachment.wakes] if self.attachment is not None else []
        ends = self.world.next_end()
        return min(
            [self._resync_at, *wakes, *([timers[0][0] - skew] if timers else []), *([ends] if ends else [])]
        )

    def advance(self, until: float) -> None:
        """Time passes until a moment; what falls due there falls due."""
        pulled = self.world.advance(until)
        self.surviving(lambda: self._fall_due(pulled))
        self.rules.check()

    def _fall_due(self, pulled: list[str]) -> None:
        attachment = self.attachment
        if attachment is None and self.world.up:
            self._attach()
        if attachment is not None:
            for image in pulled:
                attachment.puller.pulled(image)
            now = self.world.clock()
            due = [w for w in attachment.wakes if w[0] <= now]
            attachment.wakes = [w for w in attachment.wakes if w[0] > now]
            for _, key in due:
                self.work._queue.add(key)
        self.work.mind_clock()
        self.work.flush()
        if self.world.now >= self._resync_at:
            self._resync_at = self.world.now + RESYNC
            self.work.take(self.catalog())
            self.work.resync()

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
        self.surviving(lambda: self.work._sidecars.flush(everything=True))

    def set_clock(self, by: float) -> None:
        """Somebody sets the host's clock; the daemon notices with the next thing that falls due, or sooner."""
        self.world.skew += by

    # -- looking

    @property
    def attachment(self) -> Any:
        """The daemon's engine and what goes with it; None before one has answered."""
        return self.work._given.attachment

    def record(self, name: str) -> Record | None:
        """A job's record, from the disk."""
        return self.work._outlet._records.load(f"default/{name}")

    def status(self, name: str) -> dict[str, Any]:
        """A job's sidecar, from the disk."""
        for path in self.settings.specs.glob("*.status.yaml"):
            for doc in yaml.safe_load_all(path.read_text()):
                if doc["metadata"]["name"] == name:
                    return dict(doc)
        return {}

    def box(self, name: str) -> Box:
        """A container, by name."""
        found = self.world.find(name)
        assert found is not None, (
            f"there is no {name}; there are {[b.name for b in self.world.boxes.values()]}"
        )
        return found

    def running(self) -> set[str]:
        """Names of the containers that run."""
        return {b.name for b in self.world.boxes.values() if b.state == "running"}

    def ours(self) -> list[Box]:
        """Containers with this instance's label."""
        return self.world.carrying({LABEL_INSTANCE: INSTANCE})

    def check_rest(self) -> None:
        """What must hold when everything has come to rest."""
        self.rules.check()
        self.flush()
        wanted = {f"default/{raw['metadata']['name']}" for raw in self.files.values()}
        for box in self.ours():
            if job_of(box.labels) not in wanted:
                raise BrokenRuleError(f"{box.name} is an orphan")
        for net in self.world.networks.values():
            if net.labels.get(LABEL_INSTANCE) == INSTANCE and job_of(net.labels) not in wanted:
                raise BrokenRuleError(f"the network {net.name} is an orphan")
        for volume, labels in self.world.volumes.items():
            if labels.get(LABEL_INSTANCE) == INSTANCE and job_of(labels) not in wanted:
                raise BrokenRuleError(f"the volume {volume} is an orphan")
        records = set(self.work._outlet._records.keys())
        if records - wanted:
            raise BrokenRuleError(f"records of jobs that are gone: {records - wanted}")
        stems = {Path(file).stem for file in self.files}
        left = {p.name for p in self.settings.specs.glob("*.status.yaml")} - {
            f"{s}.status.yaml" for s in stems
        }
        if left:
            raise BrokenRuleError(f"sidecars of manifests that are gone: {sorted(left)}")
        for file in self.files:
            self._check_job(file)

    def _check_job(self, file: str) -> None:
        name = self.files[file]["metadata"]["name"]
        record = self.record(name)
        if record is None:
            raise BrokenRuleError(f"{name} has no record")
        told = self.status(name)
        if not told:
            raise BrokenRuleError(f"{name} has no sidecar")
        if not (self.settings.specs / f"{Path(file).stem}.status.yaml").exists():
            raise BrokenRuleError(f"the sidecar of {file} is not beside it")
        status = told["status"]
        lasting = [c for c in status["conditions"] if c["type"] not in STANDING]
        conditions = [(c["type"], c["status"], c["reason"]) for c in lasting]
        recorded = [(c.type, c.status, c.reason) for c in record.conditions]
        if (
            told["metadata"].get("uid") != record.uid
            or conditions != recorded
            or status["attempt"] != record.attempt
        ):
            raise BrokenRuleError(f"{name}: record and sidecar differ: {recorded} and {conditions}")
        boxes = [b for b in self.ours() if job_of(b.labels) == record.key]
        if (record.finished and self.settings.auto_remove) or record.suspended:
            if boxes:
                raise BrokenRuleError(f"{name} has ended or is suspended, and has {[b.name for b in boxes]}")
            if record.finished and f"{name}-net" in self.world.networks:
                net = self.world.networks[f"{name}-net"]
                if net.labels.get(LABEL_INSTANCE) == INSTANCE:
                    raise BrokenRuleError(f"{name} has ended, and its network is left")
        stated = (
            record.finished
            or record.suspended
            or any(b.live for b in boxes)
            or bool(status.get("message"))
            or record.attempt_not_before > self.world.clock()
        )
        if not stated:
            raise BrokenRuleError(
                f"{name} neither ends nor says why: {status['phase']}, {status['events'][-3:]}"
            )
        if status["phase"] in {"Complete", "Failed"} and not record.finished:
            raise BrokenRuleError(f"{name} is told {status['phase']} and is not")


@contextmanager
def site(folder: Path, **options: Any) -> Iterator[Site]:
    """A host whose daemon is up, over an empty folder."""
    planned, attached = plan_cache._build, controller.Attachment
    plan_cache._build = _build_once(planned)  # type: ignore[assignment]
    controller.Attachment = SimulatedAttachment  # type: ignore[misc]
    try:
        made = Site(folder, **options)
        with breakable(made.faults, made.rules.saved, made.rules.forget):
            made.boot()
            yield made
    finally:
        plan_cache._build, controller.Attachment = planned, attached  # type: ignore[misc]


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
