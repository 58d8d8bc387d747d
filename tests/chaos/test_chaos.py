"""Everything goes wrong at once, and afterwards everything is as it would have been.

8 kills of the daemon on each engine (``make test-long``: 25), at moments a seed chooses; a failing run prints the seed and
the deeds. ``RECONCILER_TEST_SEED`` sets it, ``RECONCILER_TEST_KILLS`` asks for more.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from reconciler import names
from tests.chaos.storms import Site, Storm
from tests.support import extent
from tests.support.workspaces import eventually

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

JOBS = 20 if extent.LONG else 10
KILLS = int(os.environ.get("RECONCILER_TEST_KILLS", "25" if extent.LONG else "8"))
SEED = int(os.environ.get("RECONCILER_TEST_SEED", "20261123"))


def test_a_batch_in_a_storm_ends_as_it_should(site: Site) -> None:
    storm = Storm(site, SEED, JOBS)
    storm.write_runtimes()
    try:
        _rage(storm)
        with site.workspace.daemon():
            _everything_ends(storm)
        _nothing_is_left(storm)
        _nothing_ran_twice(storm)
        _no_log_is_lost(storm)
    except BaseException:
        print(f"seed {SEED}", *storm.deeds, sep="\n")
        raise


def _rage(storm: Storm) -> None:
    deeds = (storm.kill_a_rank, storm.remove_a_container, storm.remove_a_network)
    with storm.site.workspace.api() as client:
        for number in range(KILLS):
            if number == KILLS // 2:
                storm.restart_the_engine(client)
            storm.write_next()
            with storm.daemon() as daemon:
                storm.until_connected(daemon)
                calm = storm.random.uniform(0.0, 2.5)
                killed_at = time.monotonic() + calm
                deed_at = time.monotonic() + storm.random.uniform(0.0, calm)
                deed = storm.random.choice(deeds) if number % 2 else None
                while (left := killed_at - time.monotonic()) > 0:
                    storm.look_for_duplicates(client)
                    if deed is not None and time.monotonic() >= deed_at:
                        deed(client)
                        deed = None
                    time.sleep(max(0.0, min(left, 0.1)))
    while storm.written < JOBS:
        storm.write_next()
    done = Counter(deed.partition(" /")[0].partition(" storm")[0] for deed in storm.deeds)
    assert done["killed the daemon"] == KILLS
    assert done["killed the engine"] == 1


def _everything_ends(storm: Storm) -> None:
    workspace = storm.site.workspace

    def phases() -> dict[str, str]:
        return {d["metadata"]["name"]: d["status"]["phase"] for d in workspace.documents()}

    wanted = {plan.name: plan.end for plan in storm.plans}
    with workspace.api() as client:

        def look() -> bool:
            storm.look_for_duplicates(client)
            return phases() == wanted

        try:
            eventually(look, "every job in its right end state", seconds=240)
        except AssertionError:
            found = phases()
            print(*(f"{n}: {found.get(n)}, not {end}" for n, end in wanted.items() if found.get(n) != end))
            raise
        eventually(lambda: not workspace.containers(), "containers gone")


def _nothing_is_left(storm: Storm) -> None:
    label = {"label": f"{names.LABEL_INSTANCE}={storm.site.workspace.instance}"}
    with storm.site.workspace.api() as client:
        assert client.api.containers(all=True, filters=label) == []
        eventually(lambda: client.api.networks(filters=label) == [], "networks gone")
        assert not client.api.volumes(filters=label)["Volumes"]


def _nothing_ran_twice(storm: Storm) -> None:
    assert storm.twice == []
    for plan in storm.plans:
        starts = Counter(line for line in storm.flags.notes(plan.name) if line.startswith("start"))
        allowed = {start: 2 if (plan.name, start) in storm.forgotten else 1 for start in starts}
        assert all(count <= allowed[start] for start, count in starts.items()), (plan.name, starts)
        if plan.end == "Complete":
            ends = [line.split()[1:] for line in storm.flags.notes(plan.name) if line.startswith("end")]
            last = max(int(attempt) for _, attempt in ends)
            assert {rank for rank, attempt in ends if int(attempt) == last} == {"0", "1"}, plan.name


def _no_log_is_lost(storm: Storm) -> None:
    logs = storm.site.workspace.root / "state" / "reconciler" / "logs" / "default"
    for plan in storm.plans:
        for line in storm.flags.notes(plan.name):
            word, rank, attempt = line.split()
            container = f"{plan.name}-node-{rank}"
            path = logs / plan.name / attempt / f"{container}.log"
            if f"{plan.name}/{attempt}/{container}" in storm.unheard:
                continue
            assert path.exists(), (line, path)
            text = path.read_text()
            if word == "end":
                expected = "".join(f"line {i} of {rank}\n" for i in range(1, 9))
                assert text == f"{expected}all said by {rank}\n", path
    assert Path(logs).is_dir()
