"""``python -m benchmarks.client``: the Python client beside the kubeflow SDK's, in one run, as ratios.

Three figures, medians: ``train()`` until the engine has started all nodes; a job's last exit until
``wait_for_job_status`` returns; ``list_jobs()`` with 50 jobs of two containers. The contenders take turns.
Neither pays for imports or its first connection. Nothing here asserts: targets are beside the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import docker
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import _kubeflow_python
from benchmarks.measuring import Failed, api, last_start, names, remove, seconds_of
from tests.client.conftest import ensure_client_image
from tests.support import engines, images

RESULTS = Path(__file__).parent / "results"
#: From the project's goals: at least so many times faster than the peer.
TARGETS = {"train() to running": 1.5, "exit to wait returns": 5.0, "list_jobs(), 50 jobs": 10.0}
OURS, PEER = "reconciler", "kubeflow 0.5"

console = Console(highlight=False)


class Worker:
    """A client in a process of its own."""

    def __init__(self, name: str, python: Path, *, kind: str, url: str, image: str, root: Path) -> None:
        self.name, self.url, self.root = name, url, root
        root.mkdir(parents=True, exist_ok=True)
        package = "reconciler.client" if name == OURS else "kubeflow.trainer"
        worker = Path(__file__).with_name("client_worker.py")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RECONCILER_")}
        self._log = root / "worker.log"
        self._process = subprocess.Popen(
            [str(python), str(worker), package, kind, url, image, str(root)],
            env={**environment, "HOME": str(root), "XDG_STATE_HOME": str(root / "state")},
            cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log.open("w"), text=True,
        )  # fmt: skip
        self._read()

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """One request; raises Failed when the client did."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": name, **fields}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self, *jobs: str, nodes: int) -> None:
        """Remove jobs without the wait for a polite end."""
        for job in jobs:
            self._kill(job, nodes)
        if self.name == OURS:
            self.call("forget", jobs=jobs)

    def _kill(self, job: str, nodes: int) -> None:
        with api(self.url) as client:
            for container in names(job, nodes):
                with contextlib.suppress(docker.errors.APIError):
                    client.api.kill(container)
            if self.name == PEER:
                remove(client, job, nodes)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=60)
        self._process.kill()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"{self.name}: {self._log.read_text()[-800:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer


def main() -> int:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client", description=__doc__)
    parser.add_argument("--engines", nargs="+", default=list(engines.KINDS), choices=engines.KINDS)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=50, help="to be listed (50)")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    peer = _kubeflow_python()
    figures: list[dict[str, Any]] = []
    with engines.using_engines(), tempfile.TemporaryDirectory(prefix="bench-client-") as scratch:
        for kind in options.engines:
            try:
                url = engines.ensure_engine(kind)
                image = ensure_client_image(kind, url)
            except (engines.EngineMissing, images.ImageMissing) as error:
                console.print(f"[yellow]{kind} is left out:[/] {error}")
                continue
            pythons = {OURS: Path(sys.executable)} | ({PEER: peer} if peer is not None else {})
            workers = [
                Worker(name, python, kind=kind, url=url, image=image, root=Path(scratch, f"{kind}-{name[0]}"))
                for name, python in pythons.items()
            ]
            try:
                figures += measure(kind, workers, options)
            finally:
                for worker in workers:
                    worker.close()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "client.json").write_text(json.dumps(figures, indent=1) + "\n")
    show(figures)
    return 0


def measure(kind: str, workers: list[Worker], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All three figures on one engine."""
    figures: list[dict[str, Any]] = []

    def note(what: str, worker: Worker, seconds: float) -> None:
        console.print(f"  {kind} {what} {worker.name}: {seconds * 1000:.0f} ms")
        figures.append({"engine": kind, "what": what, "client": worker.name, "seconds": seconds})

    for turn in range(options.repeat + 1):  # the first warms caches up and is not counted
        for worker in workers if turn % 2 else reversed(workers):
            try:
                started = _start(worker, f"bc-{os.getpid()}-{turn}", options.nodes)
                ended = _exit(worker, f"bx-{os.getpid()}-{turn}", turn)
            except Failed as error:
                console.print(f"[red]{error}[/]")
                continue
            if turn:
                note("train() to running", worker, started)
                note("exit to wait returns", worker, ended)
    for worker in workers:
        try:
            for seconds in _list(worker, options.jobs, options.repeat):
                note(f"list_jobs(), {options.jobs} jobs", worker, seconds)
        except Failed as error:
            console.print(f"[red]{error}[/]")
    return figures


def _start(worker: Worker, job: str, nodes: int) -> float:
    job = f"{job}-{worker.name[0]}"
    try:
        asked = worker.call("train", job=job, nodes=nodes, seconds=600)["asked"]
        # Looking at containers holds up their start, and only one of the two returns from train() before it.
        worker.call("wait", job=job, status="Running")
        with api(worker.url) as client:
            return last_start(client, job, nodes) - float(asked)
    finally:
        worker.end(job, nodes=nodes)


def _exit(worker: Worker, job: str, turn: int) -> float:
    """Jobs of different lengths, so that no polling interval fits by chance."""
    job = f"{job}-{worker.name[0]}"
    try:
        worker.call("train", job=job, nodes=1, seconds=1.0 + 0.37 * turn)
        returned = worker.call("wait", job=job, status="Complete")["returned"]
        with api(worker.url) as client:
            state = client.api.inspect_container(f"{job}-node-0")["State"]
        return float(returned) - seconds_of(state["FinishedAt"])
    finally:
        worker.end(job, nodes=1)


def _list(worker: Worker, jobs: int, repeat: int) -> list[float]:
    made = [f"bl-{os.getpid()}-{number}-{worker.name[0]}" for number in range(jobs)]
    try:
        for job in made:
            worker.call("train", job=job, nodes=1, seconds=0.0)
        for job in made:
            worker.call("wait", job=job, status="Complete")
        answer = worker.call("list_jobs", repeat=repeat)
        if answer["jobs"] < jobs:
            raise Failed(f"{worker.name} lists {answer['jobs']} of {jobs} jobs")
        return [float(seconds) for seconds in answer["seconds"]]
    finally:
        worker.end(*made, nodes=1)


def show(figures: list[dict[str, Any]]) -> None:
    """Medians, and how many times faster."""
    table = Table("engine", "", OURS, PEER, "times faster", "target")
    for kind in dict.fromkeys(f["engine"] for f in figures):
        for what in dict.fromkeys(f["what"] for f in figures):
            found = {
                client: [
                    f["seconds"]
                    for f in figures
                    if (f["engine"], f["what"], f["client"]) == (kind, what, client)
                ]
                for client in (OURS, PEER)
            }
            ours, peer = (statistics.median(v) if v else None for v in (found[OURS], found[PEER]))
            ratio = f"{peer / ours:.1f}" if ours and peer else "-"
            shown = [f"{v * 1000:.1f} ms" if v is not None else "-" for v in (ours, peer)]
            target = next((t for key, t in TARGETS.items() if key.split(",")[0] == what.split(",")[0]), None)
            table.add_row(kind, what, *shown, ratio, f"{target:g}" if target else "")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
