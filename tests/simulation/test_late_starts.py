"""A start that a daemon asked for before it died, and that comes through while the next one makes things anew."""

from __future__ import annotations

from pathlib import Path

from reconciler.config.policy import Policy
from tests.simulation.faults import Killed, Point, Side
from tests.simulation.manifests import job, runtime, step
from tests.simulation.site import Site, site
from tests.simulation.world import Fate


def _submit(host: Site) -> None:
    """A job of one node that mounts a folder of the host: its containers are made anew by each daemon."""
    (data := host.settings.specs.parent / "data").mkdir()
    host.apply(
        runtime(
            "r",
            step(
                "node",
                pod={"volumes": [{"name": "data", "hostPath": {"path": str(data)}}]},
                container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            ),
            nodes=1,
        )
    )
    host.apply(job("demo", "r"))


def test_a_container_that_starts_just_before_its_removal_is_kept(ram_folder: Path) -> None:
    kept: list[str] = []

    def late(point: Point, side: Side) -> None:
        """The first daemon dies as it asks for the start, which takes effect when the next one removes."""
        if side == "after":
            return
        if point.what == "start_container" and not host.kills:
            raise Killed
        if point.what == "remove_container" and not kept:
            box = host.box("demo-node-0")
            kept.append(box.id)
            host.world.start(box)

    policy = Policy.model_validate({"hostPaths": [{"path": str(ram_folder / "data")}]})
    with site(ram_folder, fate=lambda _box: Fate(lasts=60), policy=policy) as host:
        host.faults.injector = late

        _submit(host)
        host.run(30)

        box = host.box("demo-node-0")
        assert host.kills == 1
        assert [box.id] == kept
        assert (box.state, box.printed) == ("running", b"demo-node-0 started\n")
        host.run(60)
        host.check_rest()
        assert host.status("demo")["status"]["phase"] == "Complete"
