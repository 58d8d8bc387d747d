"""``make bench``: what starting a job costs, beside the bare engine API and the kubeflow SDK, in one run.

The contenders take turns, so that a machine that gets slower gets slower for all; the table has medians and
ratios, and ``benchmarks/results/latest.json`` every single figure. Nothing here asserts: targets are beside
the ratios for people to read.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import Contender, Work, contenders
from benchmarks.measuring import Failed, api, last_all_reduce, last_start
from tests.support import engines, images

RESULTS = Path(__file__).parent / "results"
KUBEFLOW = "kubeflow[docker,podman]==0.5.0"
#: From the project's goals: at most so many times the bare API, at least so many times faster than kubeflow.
TARGETS = {("sleep", 16): (1.2, 1.5), ("all-reduce", 4): (None, 2.0)}

console = Console(highlight=False)


def main() -> int:
    """Measure what the options ask for."""
    options = _options()
    # What ends this must end the daemon and the SDK's process, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    figures: list[dict[str, Any]] = []
    _help_time(figures)
    kubeflow = None if options.no_kubeflow else _kubeflow_python()
    with engines.using_engines(), tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for kind in options.engines:
            try:
                url = engines.ensure_engine(kind)
                for work in options.work:
                    nodes = [n for n in options.nodes if work == "sleep" or n <= options.torch_nodes]
                    root = Path(scratch) / f"{kind}-{work}"
                    figures += _measure(
                        kind, url, work, nodes=nodes, repeat=options.repeat, root=root, kubeflow=kubeflow
                    )
            except (engines.EngineMissing, images.ImageMissing) as error:
                console.print(f"[yellow]{kind} is left out:[/] {error}")
    _write(figures)
    _show(figures)
    return 0 if any(f["work"] != "help" for f in figures) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--engines", nargs="+", default=list(engines.KINDS), choices=engines.KINDS)
    parser.add_argument("--nodes", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--work", nargs="+", default=["sleep", "all-reduce"], choices=["sleep", "all-reduce"])
    parser.add_argument("--torch-nodes", type=int, default=4, help="most nodes to import PyTorch on (4)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, medians are shown (5)")
    parser.add_argument("--no-kubeflow", action="store_true", help="leave the SDK out")
    return parser.parse_args()


def _measure(
    kind: str, url: str, work: Work, *, nodes: Sequence[int], repeat: int, root: Path, kubeflow: Path | None
) -> list[dict[str, Any]]:
    """Seconds from asking to running (or to the first all-reduce), the contenders taking turns."""
    figures: list[dict[str, Any]] = []
    entrants = contenders(kind, url, work, root, kubeflow)
    for entrant in entrants:
        if hasattr(entrant, "root"):
            entrant.root.mkdir(parents=True, exist_ok=True)
        entrant.open()
    counter = itertools.count()
    try:
        for entrant in entrants:  # the first job warms caches up and is not counted
            _one(entrant, url, f"warm-{os.getpid()}-{next(counter)}", 1, work)
        for size, turn in itertools.product(nodes, range(repeat)):
            order = entrants[turn % len(entrants) :] + entrants[: turn % len(entrants)]
            for entrant in order:
                job = f"bench-{os.getpid()}-{next(counter)}"
                seconds = _one(entrant, url, job, size, work)
                console.print(f"  {kind} {work} N={size} {entrant.name}: {_text(seconds)}")
                figures.append(
                    {
                        "engine": kind,
                        "work": work,
                        "nodes": size,
                        "contender": entrant.name,
                        "seconds": seconds,
                    }
                )
    finally:
        for entrant in entrants:
            entrant.close()
    return figures


def _one(entrant: Contender, url: str, job: str, nodes: int, work: Work) -> float | None:
    """One run; None, and a word why, when it failed."""
    try:
        asked = entrant.start(job, nodes, work)
        with api(url) as client:
            look = last_start if work == "sleep" else last_all_reduce
            return look(client, job, nodes) - asked
    except Failed as error:
        console.print(f"[red]{entrant.name}:[/] {error}")
        return None
    finally:
        try:
            entrant.end(job, nodes)
        except Failed as error:
            console.print(f"[red]{entrant.name}:[/] {error}")


def _help_time(figures: list[dict[str, Any]], runs: int = 10) -> None:
    command = [sys.executable, "-m", "reconciler", "--help"]
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
        figures.append(
            {
                "engine": "", "work": "help", "nodes": 0, "contender": "reconciler",
                "seconds": time.perf_counter() - started,
            }
        )  # fmt: skip


def _kubeflow_python() -> Path | None:
    """Python of an environment with the SDK, made once: its dependencies are not this project's."""
    venv = engines.CACHE_DIR / "kubeflow-0.5.0"
    python = venv / "bin" / "python"
    if not (venv / "complete").exists():
        console.print(f"Installing {KUBEFLOW} into {venv}")
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=False).returncode
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", KUBEFLOW]
        if made != 0 or subprocess.run(pip, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            console.print("[yellow]The kubeflow SDK can't be installed, so it is left out.[/]")
            return None
        (venv / "complete").touch()
    return python


def _write(figures: Iterable[dict[str, Any]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    about = {
        "cpus": os.cpu_count(),
        "machine": platform.platform(),
        "time": time.strftime("%FT%TZ", time.gmtime()),
    }
    text = json.dumps({"about": about, "figures": list(figures)}, indent=1)
    (RESULTS / "latest.json").write_text(text + "\n")


def _show(figures: Sequence[dict[str, Any]]) -> None:
    helps = [f["seconds"] for f in figures if f["work"] == "help"]
    console.print(f"\nreconciler --help: {statistics.median(helps):.3f} s (target 0.3 s)")
    titles = {
        "sleep": "dropped → all nodes running",
        "all-reduce": "dropped → first all-reduce on every rank",
    }
    for work, title in titles.items():
        table = Table(title=f"Manifest {title}: median seconds")
        for heading in (
            "engine",
            "N",
            "reconciler",
            "bare API",
            "x bare",
            "kubeflow 0.5",
            "faster than kubeflow",
        ):
            table.add_column(heading, justify="right")
        for kind, nodes in sorted({(f["engine"], f["nodes"]) for f in figures if f["work"] == work}):
            table.add_row(kind, str(nodes), *_row(figures, kind, work, nodes))
        if table.rows:
            console.print(table)
    console.print(f"Every figure: {RESULTS / 'latest.json'}")


def _row(figures: Sequence[dict[str, Any]], kind: str, work: str, nodes: int) -> list[str]:
    def median(contender: str) -> float | None:
        key = (kind, work, nodes, contender)
        values = [
            f["seconds"] for f in figures if (f["engine"], f["work"], f["nodes"], f["contender"]) == key
        ]
        return statistics.median(values) if values and None not in values else None

    ours, bare, peer = (median(name) for name in ("reconciler", "bare API", "kubeflow 0.5"))
    at_most, at_least = TARGETS.get((work, nodes), (None, None))
    ratio = f"{ours / bare:.2f}" + (f" (≤ {at_most})" if at_most else "") if ours and bare else "-"
    faster = f"{peer / ours:.2f}" + (f" (≥ {at_least})" if at_least else "") if ours and peer else "-"
    return [_text(ours), _text(bare), ratio, _text(peer), faster]


def _text(seconds: float | None) -> str:
    return "failed" if seconds is None else f"{seconds:.2f}"


if __name__ == "__main__":
    sys.exit(main())
