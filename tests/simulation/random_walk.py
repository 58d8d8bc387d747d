"""Random walks: what containers, engine, disk, clock and user may do, in any order, between any two calls.

A walk is a list of plain steps, each with a number of its own for its choices, so that a failing one can be
shortened by leaving steps out. Episodes are short (a fresh host each): a failure is found near its cause.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.errors import Busy, Conflict, EngineError, EngineUnavailable, NotFound
from reconciler.names import LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_JOB, LABEL_RESTART, container_names
from tests.simulation.faults import Killed, Point, Side, nothing
from tests.simulation.file_faults import full_disk
from tests.simulation.invariants import BrokenInvariantError
from tests.simulation.manifests import IMAGE, job
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.walk_runtimes import OTHER_IMAGE, RUNTIMES
from tests.simulation.world import ContainerBehaviour, SimulatedContainer, SimulatedNetwork

#: Steps of one episode.
EPISODE = 400
#: Simulated seconds in which every job of an episode comes to its end, once nothing breaks any more.
SETTLE = 6000.0
NAMES = ("j0", "j1", "j2", "j3", "j4")
FILES = {"write", "unlink", "rmtree"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happens; ``choice`` decides about everything it leaves open."""

    kind: str
    choice: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.choice}"


@dataclass(frozen=True, kw_only=True)
class _Armed:
    """A fault that waits for its point."""

    number: int
    side: Side
    kind: str
    choice: int


class Walk:
    """One episode on one host.

    Args:
        host: fresh.
        seed: of the episode: the fates of its containers.
    """

    def __init__(self, host: SimulatedHost, seed: int) -> None:
        self.host = host
        self._seed = seed
        self._armed: list[_Armed] = []
        self._full = False
        self._injecting = False
        host.faults.injector = self._inject
        for raw in RUNTIMES:
            host.apply(raw)

    def take(self, step: Step) -> None:
        """Let one step happen, and check."""
        rng = random.Random(step.choice)
        _STEPS[step.kind][1](self, rng)
        self.host.rules.check()

    # -- the daemon and its messages

    def work(self, _rng: random.Random) -> None:
        self.host.one_pass()

    def hear(self, rng: random.Random) -> None:
        """One event arrives, whichever; some are lost or come twice."""
        events = self.host.world.events
        connected = self.host.connected
        if not events or connected is None:
            return
        event = events.pop(rng.randrange(min(len(events), 4)))
        luck = rng.random()
        for _ in range(0 if luck < 0.05 else 2 if luck > 0.95 else 1):
            self.host.controller.informer.handle_event(event.labels)

    def wait(self, rng: random.Random) -> None:
        """Until the next thing falls due, or a little."""
        host = self.host
        due = max(host.next_due(), host.world.now)
        host.advance(due if rng.random() < 0.7 else min(due, host.world.now + rng.choice((0.05, 0.5, 3.0))))

    def kill(self, _rng: random.Random) -> None:
        self.host.kills += 1
        self.host.start_daemon()

    def arm(self, rng: random.Random) -> None:
        """Something will go wrong soon, at any call or write."""
        kind = rng.choice(
            (
                "kill",
                "kill",
                "error",
                "timeout",
                "not-found",
                "conflict",
                "busy",
                "gone",
                "full",
                "meanwhile",
                "meanwhile",
            )
        )
        side: Side = "after" if kind == "timeout" or (kind == "kill" and rng.random() < 0.5) else "before"
        number = self.host.faults.count + rng.randrange(25)
        self._armed.append(_Armed(number=number, side=side, kind=kind, choice=rng.getrandbits(32)))

    def _inject(self, point: Point, side: Side) -> None:
        if self._full and point.what == "write" and side == "before":
            raise full_disk()
        due = [a for a in self._armed if a.number <= point.number and a.side == side]
        if not due or self._injecting:
            return
        self._armed.remove(due[0])
        self._strike(due[0], point)

    def _strike(self, armed: _Armed, point: Point) -> None:
        on_file = point.what in FILES
        if armed.kind == "kill":
            raise Killed
        if armed.kind == "meanwhile":
            # Somebody else acts between two calls of the daemon; what they do is no fault point itself.
            self._injecting = True
            try:
                rng = random.Random(armed.choice)
                rng.choice((Walk.end, Walk.end, Walk.remove_container, Walk.pause))(self, rng)
            finally:
                self._injecting = False
            return
        if on_file or armed.kind == "full":
            if point.what == "write":
                raise full_disk()
            return
        raise {
            "error": EngineError("500: simulated"),
            "timeout": EngineError("timed out: simulated"),
            "not-found": NotFound("404: simulated"),
            "conflict": Conflict("409: simulated"),
            "busy": Busy("busy: simulated"),
            "gone": EngineUnavailable("gone: simulated"),
        }[armed.kind]

    def engine_down(self, _rng: random.Random) -> None:
        self.host.world.up = False

    def engine_up(self, _rng: random.Random) -> None:
        self.host.world.up = True

    def disk_full(self, _rng: random.Random) -> None:
        self._full = True

    def disk_free(self, _rng: random.Random) -> None:
        self._full = False

    def reboot(self, _rng: random.Random) -> None:
        self.host.world.reboot()
        self.host.kills += 1
        self.host.start_daemon()

    def set_clock(self, rng: random.Random) -> None:
        self.host.set_clock(rng.choice((-86400.0, -3600.0, -30.0, -0.5, 0.5, 30.0, 3600.0, 86400.0)))

    # -- containers, changed by hand

    def _pick(self, rng: random.Random, *, live: bool = False) -> SimulatedContainer | None:
        containers = [b for b in self.host.owned_containers() if b.live or not live]
        return rng.choice(containers) if containers else None

    def end(self, rng: random.Random) -> None:
        if (container := self._pick(rng, live=True)) is not None:
            self.host.world.end(container, rng.choice((0, 0, 0, 1, 42, 137, 143)))

    def remove_container(self, rng: random.Random) -> None:
        if (container := self._pick(rng)) is not None:
            self.host.rules.taken_by_hand(container)
            self.host.world.remove(container)

    def pause(self, rng: random.Random) -> None:
        if (container := self._pick(rng, live=True)) is not None:
            self.host.world.pause(container)

    def unpause(self, rng: random.Random) -> None:
        if (container := self._pick(rng, live=True)) is not None:
            self.host.world.unpause(container)

    def rename_container(self, rng: random.Random) -> None:
        if (container := self._pick(rng)) is not None:
            record = self.host.record(container.labels[LABEL_JOB])
            if record is None or container.id not in record.container_ids:
                container.astray = True
                self.host.rules.taken_by_hand(container)
            container.name = f"renamed-{rng.getrandbits(16)}"

    def copy_container(self, rng: random.Random) -> None:
        """Commit and run, or clone: another container with the same labels, on the same network or not."""
        world, original = self.host.world, self._pick(rng)
        if original is None:
            return
        network = original.spec.network if rng.random() < 0.5 else ""
        spec = replace(original.spec, network=network, address="", share_network_with="")
        name = f"{original.name}-clone" if rng.random() < 0.3 else f"eager-{rng.getrandbits(16)}"
        if world.find(name) is not None:
            return
        number = next(world.ids)
        copied = SimulatedContainer(
            f"k{number:06d}", name, spec, world.clock(), dict(original.labels), copied=True
        )
        world.containers[copied.id] = copied
        world.tell("container", "create", name, copied.labels)
        if rng.random() < 0.7:
            world.start(copied)

    def copies_leave(self, _rng: random.Random) -> None:
        for container in [b for b in self.host.owned_containers() if b.copied or b.astray]:
            self.host.rules.taken_by_hand(container)
            self.host.world.remove(container)

    def remove_network(self, rng: random.Random) -> None:
        mine = [n for n in self.host.world.networks.values() if LABEL_INSTANCE in n.labels]
        if mine:
            self.host.world.remove_network(rng.choice(mine).name)

    def remove_image(self, rng: random.Random) -> None:
        self.host.world.images.discard(rng.choice((IMAGE, OTHER_IMAGE)))

    def stranger(self, rng: random.Random) -> None:
        """Somebody else takes a name that a job may want."""
        world, name = self.host.world, rng.choice(NAMES)
        if rng.random() < 0.5:
            network = f"{name}-net"
            if network not in world.networks:
                world.networks[network] = SimulatedNetwork(
                    f"n{next(world.ids)}", network, {"owner": "stranger"}, "10.99.0.0/24", "10.99.0.1"
                )
        elif world.find(f"{name}-node-0") is None:
            some = next(iter(world.containers.values()), None)
            if some is not None:
                container = SimulatedContainer(
                    f"s{next(world.ids)}", f"{name}-node-0", some.spec, world.clock(), {"owner": "stranger"}
                )
                world.containers[container.id] = container

    def stranger_leaves(self, _rng: random.Random) -> None:
        world = self.host.world
        for container in [b for b in world.containers.values() if b.labels.get("owner") == "stranger"]:
            del world.containers[container.id]
        for net in [n for n in world.networks.values() if n.labels.get("owner") == "stranger"]:
            del world.networks[net.name]

    # -- the user's files

    def _file(self, rng: random.Random) -> str | None:
        return rng.choice(sorted(self.host.files)) if self.host.files else None

    def submit(self, rng: random.Random) -> None:
        used = {raw["metadata"]["name"] for raw in self.host.files.values()}
        free = [n for n in NAMES if n not in used]
        if not free or self.host.folder_state != "ok":
            return
        spec: dict[str, Any] = {}
        if rng.random() < 0.15:
            spec["suspend"] = True
        if rng.random() < 0.15:
            spec["activeDeadlineSeconds"] = rng.choice((10, 60, 600))
        annotations = {}
        if rng.random() < 0.15:
            annotations["reconciler.trainer.kubeflow.org/restart-scope"] = "gang"
        if rng.random() < 0.15:
            annotations["reconciler.trainer.kubeflow.org/priority"] = str(rng.randrange(-2, 3))
        runtime_name = rng.choice(RUNTIMES)["metadata"]["name"]
        self.host.apply(job(rng.choice(free), runtime_name, annotations=annotations, **spec))

    def delete(self, rng: random.Random) -> None:
        if (file := self._file(rng)) is not None and self.host.folder_state == "ok":
            self.host.delete(file)

    def suspend(self, rng: random.Random) -> None:
        if (file := self._file(rng)) is not None:
            self.host.edit(file, suspend=rng.random() < 0.5)

    def change(self, rng: random.Random) -> None:
        """A change of what may not be changed."""
        if (file := self._file(rng)) is not None:
            self.host.edit(file, trainer={"numNodes": rng.choice((1, 2, 3))})

    def rerun(self, rng: random.Random) -> None:
        if (file := self._file(rng)) is not None:
            raw = self.host.files[file]
            token = {"reconciler.trainer.kubeflow.org/rerun": str(rng.getrandbits(20))}
            own = raw["metadata"].get("annotations", {})
            self.host.apply({**raw, "metadata": {**raw["metadata"], "annotations": own | token}}, file=file)

    def move(self, rng: random.Random) -> None:
        """A manifest gets another name, in one go (the folder's reader tells moves from removals)."""
        if (file := self._file(rng)) is not None and self.host.folder_state == "ok":
            other = f"{Path(file).stem.split('-')[0]}-{rng.getrandbits(8)}.yaml"
            if other not in self.host.files:
                self.host.files[other] = self.host.files.pop(file)
                if file in self.host.broken_files:
                    self.host.broken_files.remove(file)
                self.host.scan()

    def break_file(self, rng: random.Random) -> None:
        if (file := self._file(rng)) is not None:
            self.host.broken_files ^= {file}
            self.host.scan()

    def lose_folder(self, rng: random.Random) -> None:
        self.host.folder_state = rng.choice(("ok", "missing", "unreadable", "empty"))
        self.host.scan()

    def change_runtime(self, rng: random.Random) -> None:
        """Gone, or edited: jobs that have started do not care."""
        name = rng.choice(RUNTIMES)["metadata"]["name"]
        raw = next(r for r in RUNTIMES if r["metadata"]["name"] == name)
        if self.host.runtimes.pop(name, None) is None:
            self.host.runtimes[name] = raw
        self.host.scan()

    def lose_sidecar(self, rng: random.Random) -> None:
        """``git clean``."""
        if (file := self._file(rng)) is not None:
            name = self.host.files[file]["metadata"]["name"]
            if self.host.record(name) is not None:
                (self.host.settings.specs / f"{Path(file).stem}.status.yaml").unlink(missing_ok=True)

    def lose_record(self, rng: random.Random) -> None:
        """The state folder was cleaned, where the sidecar is there to make up for it."""
        if (file := self._file(rng)) is None:
            return
        name = self.host.files[file]["metadata"]["name"]
        record, told = self.host.record(name), self.host.status(name)
        if record is None or not told or told["metadata"].get("uid") != record.uid:
            return
        if not (self.host.settings.specs / f"{Path(file).stem}.status.yaml").exists():
            return
        if (told["status"]["phase"] in {"Complete", "Failed"}) != record.finished:
            return
        (self.host.settings.state_dir / "records" / "simulated" / "default" / f"{name}.json").unlink()
        self.host.rules.record_taken(f"default/{name}")
        self._lose_renamed(name, but={n["containerID"] for n in told["status"].get("nodes", ())})
        self.host.kills += 1
        # Losing the record and, before a daemon has looked, the sidecar's place as well is losing both.
        injector, self.host.faults.injector = self.host.faults.injector, nothing
        self.host.start_daemon()
        self.host.controller.state.load(f"default/{name}")
        self.host.faults.injector = injector

    def _lose_renamed(self, name: str, *, but: Collection[str] = ()) -> None:
        """Containers whose ids went with the record, and that have another name by now, are nobody's."""
        for container in self.host.made_containers():
            renamed = container.name not in container_names(container.labels)
            if container.labels[LABEL_JOB] == name and renamed and container.id not in but:
                container.astray = True
                self.host.rules.taken_by_hand(container)

    def lose_both(self, rng: random.Random) -> None:
        """Record and sidecar are gone: only the containers know."""
        if (file := self._file(rng)) is None:
            return
        name = self.host.files[file]["metadata"]["name"]
        settings = self.host.settings
        self._lose_renamed(name)
        (settings.state_dir / "records" / "simulated" / "default" / f"{name}.json").unlink(missing_ok=True)
        (settings.specs / f"{Path(file).stem}.status.yaml").unlink(missing_ok=True)
        self.host.rules.record_taken(f"default/{name}")
        self.host.kills += 1
        self.host.start_daemon()

    # -- the end

    def settle(self) -> None:
        """Nothing breaks any more: everything comes to rest, and all of it as it should."""
        host = self.host
        self._armed.clear()
        self._full = False
        host.world.up = True
        host.faults.calm()
        host.world.registry |= {IMAGE, OTHER_IMAGE}
        host.folder_state = "ok"
        host.broken_files.clear()
        for raw in RUNTIMES:
            host.runtimes[raw["metadata"]["name"]] = raw
        for container in host.owned_containers():
            host.world.unpause(container)
        self.stranger_leaves(random.Random(0))
        self.copies_leave(random.Random(0))
        host.scan()
        before = host.passes
        host.run(SETTLE)
        host.check_at_rest()
        most = 400 * max(len(host.files), 1)
        if host.passes - before > most:
            raise BrokenInvariantError(f"{host.passes - before} passes until all was at rest")
        for file, raw in host.files.items():
            record = host.record(raw["metadata"]["name"])
            if record is None or not (record.finished or record.suspended):
                status = host.status(raw["metadata"]["name"])["status"]
                raise BrokenInvariantError(f"{file} does not end: {status['phase']}: {status.get('message')}")
        for file in list(host.files):
            host.delete(file)
        host.run(100.0)
        host.check_at_rest()


_STEPS: dict[str, tuple[float, Callable[[Walk, random.Random], None]]] = {
    "work": (34, Walk.work),
    "hear": (22, Walk.hear),
    "wait": (20, Walk.wait),
    "arm": (5, Walk.arm),
    "kill": (0.4, Walk.kill),
    "engine_down": (0.4, Walk.engine_down),
    "engine_up": (1.2, Walk.engine_up),
    "disk_full": (0.3, Walk.disk_full),
    "disk_free": (1.2, Walk.disk_free),
    "reboot": (0.15, Walk.reboot),
    "set_clock": (0.15, Walk.set_clock),
    "end": (3, Walk.end),
    "remove_container": (1, Walk.remove_container),
    "pause": (0.5, Walk.pause),
    "unpause": (1, Walk.unpause),
    "rename_container": (0.3, Walk.rename_container),
    "copy_container": (0.6, Walk.copy_container),
    "copies_leave": (0.3, Walk.copies_leave),
    "remove_network": (0.5, Walk.remove_network),
    "remove_image": (0.3, Walk.remove_image),
    "stranger": (0.3, Walk.stranger),
    "stranger_leaves": (0.5, Walk.stranger_leaves),
    "submit": (4, Walk.submit),
    "delete": (1.3, Walk.delete),
    "suspend": (1.5, Walk.suspend),
    "change": (0.5, Walk.change),
    "rerun": (0.5, Walk.rerun),
    "move": (0.5, Walk.move),
    "break_file": (0.5, Walk.break_file),
    "lose_folder": (0.3, Walk.lose_folder),
    "change_runtime": (0.5, Walk.change_runtime),
    "lose_sidecar": (0.3, Walk.lose_sidecar),
    "lose_record": (0.3, Walk.lose_record),
    "lose_both": (0.2, Walk.lose_both),
}


def steps_of(seed: int, count: int = EPISODE) -> list[Step]:
    """The steps of an episode."""
    rng = random.Random(seed)
    kinds = rng.choices(list(_STEPS), [weight for weight, _ in _STEPS.values()], k=count)
    return [Step(kind=kind, choice=rng.getrandbits(32)) for kind in kinds]


def _behaviour(seed: int) -> Callable[[SimulatedContainer], ContainerBehaviour]:
    """What containers do: by their own labels, so that leaving steps out changes as little as can be."""

    def behaviour(container: SimulatedContainer) -> ContainerBehaviour:
        text = f"{seed}/{container.spec.name}/{container.labels[LABEL_ATTEMPT]}/{container.labels[LABEL_RESTART]}"
        rng = random.Random(hashlib.sha256(text.encode()).digest())
        return ContainerBehaviour(
            duration=rng.choice((0.0, 1.0, 5.0, 20.0, 100.0, 400.0)),
            code=rng.choice((0, 0, 0, 0, 0, 1, 1, 42, 137)),
            oom=rng.random() < 0.03,
            stops_on_term=rng.random() < 0.8,
        )

    return behaviour


def _refusal(seed: int) -> Callable[[SimulatedContainer], str]:
    def refuses(container: SimulatedContainer) -> str:
        text = f"{seed}/start/{container.spec.name}/{container.labels[LABEL_ATTEMPT]}/{container.labels[LABEL_RESTART]}"
        luck = random.Random(hashlib.sha256(text.encode()).digest()).random()
        return "exec: no such file (simulated)" if luck < 0.03 else ""

    return refuses


def _options(seed: int) -> dict[str, Any]:
    rng = random.Random(seed + 1)
    return {
        "auto_remove": rng.random() < 0.8,
        "max_jobs": rng.choice((None, None, 1, 2)),
        "restart_scope": rng.choice(("container", "container", "gang")),
        "update_policy": rng.choice(("Refuse", "Refuse", "Recreate")),
        "preempt": rng.random() < 0.3,
    }


def play(folder: Path, seed: int, steps: Sequence[Step]) -> str:
    """One episode; "" when all rules held, else what broke and after which step."""
    with simulated_host(folder, behaviour=_behaviour(seed), **_options(seed)) as host:
        host.world.devices = {"nvidia.com/gpu": ("0", "1", "2")}
        host.engine.refuses = _refusal(seed)
        host.start_daemon()
        done = "at the start"
        try:
            walk = Walk(host, seed)
            for number, step in enumerate(steps):
                done = f"in step {number} ({step})"
                walk.take(step)
            done = "while settling"
            walk.settle()
        except (AssertionError, BrokenInvariantError) as error:
            return f"{done}: {error}"
    return ""
