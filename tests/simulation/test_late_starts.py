"""A start that a daemon asked for before it died, and that comes through while the next one makes things anew."""

from __future__ import annotations

from pathlib import Path

from reconciler.config.policy import Policy
from tests.simulation.faults import Killed, Point, Side
from tests.simulation.manifests import job, runtime, step
from tests.simulation.simulated_host import SimulatedHost, simulated_host
from tests.simulation.world import ContainerBehaviour


def _submit(host: SimulatedHost) -> None:
    """A job of one node that mounts a folder of the host: its containers are made again by each daemon."""
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
            container = host.container("demo-node-0")
            kept.append(container.id)
            host.world.start(container)

    policy = Policy.model_validate({"hostPaths": [{"path": str(ram_folder / "data")}]})
    with simulated_host(
        ram_folder, behaviour=lambda _container: ContainerBehaviour(duration=60), policy=policy
    ) as host:
        host.faults.injector = late

        _submit(host)
        host.run(30)

        container = host.container("demo-node-0")
        assert host.kills == 1
        assert [container.id] == kept
        assert (container.state, container.printed) == ("running", b"demo-node-0 started\n")
        host.run(60)
        host.check_at_rest()
        assert host.status("demo")["status"]["phase"] == "Complete"
