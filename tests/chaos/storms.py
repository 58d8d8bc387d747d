"""A storm: what a seeded random number generator does to a daemon, an engine and a batch of jobs.

The storm only does what happens to people: daemons are killed, ranks die, somebody removes a container or a
network, the engine is restarted. It keeps a list of what it did, which is printed when the test fails.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docker
import requests

from reconciler import names
from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.private_engines import PrivateEngine
from tests.support.workspaces import Daemon, Workspace

#: What an engine says when it is asked about something that goes at that moment, or is down.
TROUBLE = (docker.errors.APIError, requests.exceptions.RequestException)

#: Each rank tells the test of its start and its end, outside of anything that is tested.
SCRIPT = """\
echo "start $RANK $RECONCILER_ATTEMPT" >> {notes}
for i in 1 2 3 4 5 6 7 8; do echo "line $i of $RANK"; sleep {pace}; done
{special}
echo "all said by $RANK"
echo "end $RANK $RECONCILER_ATTEMPT" >> {notes}
"""


@dataclass(frozen=True)
class Plan:
    """One job of the batch, and how it must end."""

    name: str
    end: str
    special: str = ""


@dataclass
class Site:
    """Where the storm goes: a workspace on an engine of its own."""

    workspace: Workspace
    engine: PrivateEngine


@dataclass
class Storm:
    """The batch, and what has been done to it.

    Attributes:
        unheard: ``job/attempt/container`` whose log nobody could read to its end: removed by hand, or running
            while dockerd, which writes the logs of all its containers, was dead.
        forgotten: ``(job, "start <rank> <attempt>")`` of containers that dockerd says were never started, but
            was perhaps starting when it was killed: it writes "running" down after their first process runs.
    """

    site: Site
    seed: int
    jobs: int
    deeds: list[str] = field(default_factory=list)
    unheard: set[str] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)
    forgotten: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.flags = Flags(self.site.workspace)
        self.plans = [self._plan(number) for number in range(self.jobs)]
        self.written = 0

    def _plan(self, number: int) -> Plan:
        name = f"storm-{self.site.workspace.instance[-6:]}-{number:02}"
        if number % 5 == 3:
            return Plan(name, "Failed", special="if [ $RANK = 1 ]; then echo broken; exit 3; fi")
        if number % 5 == 4:
            return Plan(name, "Complete", special="if [ $RECONCILER_ATTEMPT = 0 ]; then exit 1; fi")
        return Plan(name, "Complete")

    # --- the batch

    def write_runtimes(self) -> None:
        """One that survives anything, one whose first failure is final."""
        patient = self.flags.runtime("patient", nodes=2, jobset={"failurePolicy": {"maxRestarts": 1000}})
        self.site.workspace.write("rt.yaml", patient, self.flags.runtime("final", nodes=2))

    def write_next(self) -> None:
        """Drop the next manifest, if there is one."""
        if self.written >= len(self.plans):
            return
        plan = self.plans[self.written]
        self.written += 1
        script = SCRIPT.format(
            notes=f"{self.flags.inside}/{plan.name}",
            pace=round(self.random.uniform(0.2, 0.8), 2),
            special=plan.special,
        )
        runtime = "final" if plan.end == "Failed" else "patient"
        self.site.workspace.write(f"{plan.name}.yaml", shell(plan.name, runtime, script))

    # --- deeds

    def kill_a_rank(self, client: docker.DockerClient) -> None:
        """Somebody's ``kill -9``."""
        for container in self._pick(client, status="running"):
            with contextlib.suppress(*TROUBLE):
                client.api.kill(container["Id"], "KILL")
                self.deeds.append(f"killed {container['Names'][0]}")

    def remove_a_container(self, client: docker.DockerClient) -> None:
        """Somebody's ``rm -f``."""
        for container in self._pick(client):
            if not self._is_known(container):
                # Started (or just being started) and noted by none: removed now, nothing would tell that it ran.
                continue
            self._not_heard(container)
            with contextlib.suppress(*TROUBLE):
                # Podman's forced removal asks politely first, for ten seconds.
                client.api.kill(container["Id"], "KILL")
            with contextlib.suppress(*TROUBLE):
                client.api.remove_container(container["Id"], force=True)
                self.deeds.append(f"removed {container['Names'][0]}")

    def remove_a_network(self, client: docker.DockerClient) -> None:
        """Somebody's ``network rm -f``."""
        label = f"{names.LABEL_INSTANCE}={self.site.workspace.instance}"
        with contextlib.suppress(*TROUBLE):
            found = sorted(n["Name"] for n in client.api.networks(filters={"label": label}))
            if not found:
                return
            name = self.random.choice(found)
            for container in client.api.containers(all=True, filters={"network": name}):
                with contextlib.suppress(*TROUBLE):
                    client.api.disconnect_container_from_network(container["Id"], name, force=True)
            client.api.remove_network(name)
            self.deeds.append(f"removed network {name}")

    def _is_known(self, container: dict[str, Any]) -> bool:
        nodes = self.site.workspace.status(container["Labels"][names.LABEL_JOB]).get("nodes", ())
        return any(node["containerID"] == container["Id"] for node in nodes)

    def _not_heard(self, container: dict[str, Any]) -> None:
        labels = container["Labels"]
        where = f"{labels[names.LABEL_JOB]}/{labels[names.LABEL_ATTEMPT]}"
        self.unheard.add(f"{where}/{container['Names'][0].lstrip('/')}")

    def restart_the_engine(self, client: docker.DockerClient) -> None:
        """A crash of the engine's service, and its restart."""
        label = f"{names.LABEL_INSTANCE}={self.site.workspace.instance}"
        if self.site.engine.kind == "docker":
            for container in client.api.containers(filters={"label": label}):
                self._not_heard(container)
        self.site.engine.kill()
        self.deeds.append("killed the engine")
        self.site.engine.start()
        self.deeds.append("started the engine")
        if self.site.engine.kind == "docker":
            for container in client.api.containers(all=True, filters={"label": label, "status": "created"}):
                labels = container["Labels"]
                start = f"start {labels[names.LABEL_RANK]} {labels[names.LABEL_ATTEMPT]}"
                self.forgotten.add((labels[names.LABEL_JOB], start))

    def _pick(self, client: docker.DockerClient, **filters: str) -> Iterator[dict[str, Any]]:
        label = f"{names.LABEL_INSTANCE}={self.site.workspace.instance}"
        with contextlib.suppress(*TROUBLE):
            found = client.api.containers(all=True, filters={"label": label, **filters})
            found.sort(key=lambda c: c["Names"][0])
            if found:
                yield self.random.choice(found)

    # --- watching

    def look_for_duplicates(self, client: docker.DockerClient) -> None:
        """At no time may a rank have two running containers."""
        label = f"{names.LABEL_INSTANCE}={self.site.workspace.instance}"
        with contextlib.suppress(*TROUBLE):
            running = client.api.containers(filters={"label": label, "status": "running"})
            ranks = Counter((c["Labels"][names.LABEL_JOB], c["Labels"][names.LABEL_RANK]) for c in running)
            self.twice += [f"{job} rank {rank}" for (job, rank), count in ranks.items() if count > 1]

    # --- the daemon

    @contextlib.contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """One that is killed at the end, wherever it is."""
        output = self.site.workspace.root / f"daemon-{len(self.deeds):03}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "run"],
                env=self.site.workspace.environment,
                cwd=self.site.workspace.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        daemon = Daemon(process, output)
        try:
            yield daemon
        finally:
            daemon.kill()
            self.deeds.append("killed the daemon")
        assert "Traceback (most recent call last)" not in daemon.text(), daemon.text()[-4000:]

    def until_connected(self, daemon: Daemon, *, seconds: float = 60) -> None:
        """Wait until the daemon has found its engine; most kills before that would hit nothing."""
        deadline = time.monotonic() + seconds
        while "engine connected" not in daemon.text():
            assert daemon.process.poll() is None, daemon.text()
            assert time.monotonic() < deadline, f"no engine found:\n{daemon.text()[-2000:]}"
            time.sleep(0.02)
