"""``python -m benchmarks.lifecycle``: how quickly the daemon hears of ends, and what it costs at rest.

* rank killed → the whole gang stopped: by the engine's own records of when each container ended. The ranks
  end at TERM, so no grace period is in the figure.
* last exit → Complete on disk: from the engine's record to the modification time of the sidecar.
* at rest, with running containers and finished manifests: CPU and memory of the daemon from ``/proc``,
  engine calls counted by a proxy before the engine's socket.

Nothing here asserts: the targets are beside the figures. What can go wrong: a busy machine; the load average
is printed, and a figure taken beside other work means little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import names, seconds_of
from tests.support import engines, images
from tests.support.manifests import runtime, shell
from tests.support.proxies import proxy
from tests.support.workspaces import Workspace, eventually

POLITE = "trap 'exit 143' TERM; while :; do sleep 0.2 & wait $!; done"
REQUEST = re.compile(rb"^(?:GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1", re.MULTILINE)
IDENTIFIER = re.compile(r"[0-9a-f]{12,64}")
TICKS = os.sysconf("SC_CLK_TCK")
TARGETS = {
    "rank killed → gang stopped (s)": 1.0,
    "last exit → Complete on disk (s)": 0.3,
    "CPU at rest (% of a core)": 0.5,
    "memory at rest (MB)": 120.0,
}

console = Console(highlight=False)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    engine: str
    what: str
    value: float
    detail: str = ""


def main() -> int:
    """Measure what the options ask for."""
    options = _options()
    figures: list[Figure] = []
    with engines.using_engines(), tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for kind in options.engines:
            root = Path(scratch) / kind
            root.mkdir()
            with contextlib.suppress(engines.EngineMissing, images.ImageMissing):
                url = engines.ensure_engine(kind)
                images.ensure_image(kind, url=url)
                figures += _latencies(Workspace(root / "l", kind, url), options)
                figures += _rest(kind, url, root, options)
    _show(figures)
    return 0 if figures else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lifecycle", description=__doc__)
    parser.add_argument("--engines", nargs="+", default=list(engines.KINDS), choices=engines.KINDS)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=4, help="ranks of each job (4)")
    parser.add_argument("--running", type=int, default=100, help="containers at rest (100)")
    parser.add_argument("--finished", type=int, default=1000, help="finished manifests at rest (1000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long rest is measured (60)")
    return parser.parse_args()


# --- how quickly


def _latencies(workspace: Workspace, options: argparse.Namespace) -> list[Figure]:
    gangs, ends = [], []
    workspace.write("rt.yaml", runtime("rt", images.reference(), nodes=options.nodes))
    try:
        with workspace.daemon("--no-auto-remove"):
            for number in range(options.repeat + 1):
                gang = _gang_stopped(workspace, f"bench-{workspace.instance[-6:]}-g{number}", options.nodes)
                end = _complete_on_disk(workspace, f"bench-{workspace.instance[-6:]}-e{number}")
                if number:  # the first warms up
                    gangs.append(gang)
                    ends.append(end)
    finally:
        workspace.clean()
    titles = list(TARGETS)
    return [
        Figure(workspace.engine, titles[0], statistics.median(gangs), f"worst {max(gangs):.2f}"),
        Figure(workspace.engine, titles[1], statistics.median(ends), f"worst {max(ends):.2f}"),
    ]


def _gang_stopped(workspace: Workspace, job: str, nodes: int) -> float:
    """Seconds from the death of one rank to the end of the last."""
    workspace.write(f"{job}.yaml", shell(job, "rt", POLITE))
    states = ["running"] * nodes
    eventually(lambda: [n["state"] for n in workspace.status(job).get("nodes", ())] == states, "all run")
    with workspace.api() as client:
        client.api.kill(f"{job}-node-1", "KILL")
        eventually(lambda: not _running(client, job, nodes), "all stopped")
        ends = [seconds_of(client.api.inspect_container(n)["State"]["FinishedAt"]) for n in names(job, nodes)]
    (workspace.specs / f"{job}.yaml").unlink()
    return max(ends) - ends[1]


def _complete_on_disk(workspace: Workspace, job: str) -> float:
    """Seconds from the last exit to the sidecar that says Complete."""
    sidecar = workspace.specs / f"{job}.status.yaml"
    workspace.write(f"{job}.yaml", shell(job, "rt", "sleep 1", numNodes=2))
    deadline = time.monotonic() + 60
    written = 0.0
    while not written:
        with contextlib.suppress(FileNotFoundError):
            moment = sidecar.stat().st_mtime
            if "phase: Complete" in sidecar.read_text():
                written = moment
        assert time.monotonic() < deadline, f"{job} is not Complete"
        time.sleep(0.005)
    with workspace.api() as client:
        ends = [seconds_of(client.api.inspect_container(n)["State"]["FinishedAt"]) for n in names(job, 2)]
    (workspace.specs / f"{job}.yaml").unlink()
    return written - max(ends)


def _running(client: Any, job: str, nodes: int) -> list[str]:
    return [n for n in names(job, nodes) if client.api.inspect_container(n)["State"]["Running"]]


# --- at rest


def _rest(kind: str, url: str, root: Path, options: argparse.Namespace) -> list[Figure]:
    calls: Counter[str] = Counter()
    lock = threading.Lock()

    def count(data: bytes) -> None:
        with lock:
            calls.update(_call(path.decode()) for path in REQUEST.findall(data))

    with _short_folder() as folder, proxy(folder / "p.sock", url) as counted:
        counted.on_data = count
        workspace = Workspace(root / "r", kind, counted.url)
        try:
            _finished(workspace, options.finished)
            with workspace.daemon() as daemon:
                _start_many(workspace, options.running)
                _until_quiet(daemon.process.pid)
                calls.clear()
                percent, megabytes = _watched(daemon.process.pid, options.seconds)
                made = dict(calls)
        finally:
            workspace.url = url
            workspace.clean()
    minute = sum(made.values()) * 60 / options.seconds
    detail = ", ".join(f"{name} {n * 60 / options.seconds:.0f}" for name, n in sorted(made.items()))
    titles = list(TARGETS)
    return [
        Figure(kind, titles[2], percent),
        Figure(kind, titles[3], megabytes),
        Figure(kind, "engine calls per minute at rest", minute, detail),
    ]


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    """A socket's path may have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp") as folder:
        yield Path(folder)


def _finished(workspace: Workspace, count: int) -> None:
    """Finished jobs: one that ran, its manifest, record and sidecar copied under other names."""
    workspace.write("rt.yaml", runtime("rt", images.reference()))
    workspace.write("done-00000.yaml", shell("done-00000", "rt", "true"))
    workspace.cli("run", "--wait")
    records = workspace.root / "state" / "reconciler" / "records" / workspace.instance / "default"
    originals = (workspace.specs / "done-00000.yaml", workspace.specs / "done-00000.status.yaml",
                 records / "done-00000.json")  # fmt: skip
    uid = json.loads(originals[2].read_text())["uid"]
    for number in range(1, count):
        name = f"done-{number:05}"
        for path in originals:
            text = path.read_text().replace("done-00000", name).replace(uid, f"{uid[:-5]}{number:05}")
            path.with_name(path.name.replace("done-00000", name)).write_text(text)


def _start_many(workspace: Workspace, containers: int) -> None:
    jobs = [f"rest-{workspace.instance[-6:]}-{number}" for number in range(max(containers // 4, 1))]
    for job in jobs:
        workspace.write(f"{job}.yaml", shell(job, "rt", POLITE.replace("0.2", "60"), numNodes=4))
    label = {"label": f"reconciler.trainer.kubeflow.org/instance={workspace.instance}", "status": "running"}
    deadline = time.monotonic() + 600
    with workspace.api() as client:
        # Seldom: looking costs the engine what it needs to start them.
        while len(client.api.containers(filters=label)) < len(jobs) * 4:
            assert time.monotonic() < deadline, "not all containers have started"
            time.sleep(1)


def _until_quiet(pid: int) -> None:
    """Wait until the start is digested: two seconds with hardly any work."""
    deadline = time.monotonic() + 120
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        percent, _ = _watched(pid, 1.0)
        quiet = quiet + 1 if percent < 5 else 0


def _watched(pid: int, seconds: float) -> tuple[float, float]:
    """Percent of a core over that time, and resident memory in MB at its end."""
    before, began = _ticks(pid), time.monotonic()
    time.sleep(seconds)
    percent = (_ticks(pid) - before) / TICKS / (time.monotonic() - began) * 100
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return percent, kilobytes / 1024


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _call(path: str) -> str:
    """``/v4.3.1/libpod/containers/3f2a.../json?x`` as ``containers/ID/json``."""
    plain = re.sub(r"^/v[0-9.]+/(libpod/)?", "", path.partition("?")[0])
    return IDENTIFIER.sub("ID", plain)


# --- telling


def _show(figures: list[Figure]) -> None:
    cores = os.cpu_count()
    console.print(
        f"\n{cores} cores, load average {os.getloadavg()[0]:.1f}, {shutil.disk_usage('/').free >> 30} GB free"
    )
    table = Table("engine", "figure", "value", "target", "", box=None, header_style="bold", pad_edge=False)
    for figure in figures:
        target = TARGETS.get(figure.what)
        table.add_row(
            figure.engine,
            figure.what,
            f"{figure.value:.2f}",
            "-" if target is None else f"< {target:g}",
            figure.detail if target is None or figure.value < target else f"[red]missed[/] {figure.detail}",
        )
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
