"""When things happened, by clocks that cost the measured side nothing.

*Running* is the last ``State.StartedAt`` of the job's containers as the engine recorded it, read after the
fact; *first all-reduce* is a time that the training script prints. Both are on this host's clock, as is the
moment the work was asked for. Podman answers Docker's API, so one client reads both.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import docker

#: Torn into lines because the peer's backend passes it through a shell here-document.
ALL_REDUCE = """\
import time
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
value = torch.ones(1)
dist.all_reduce(value)
assert value.item() == dist.get_world_size()
print(f"all_reduce={time.time():.6f}", flush=True)
dist.destroy_process_group()
"""
PRINTED = re.compile(rb"^all_reduce=([0-9.]+)", re.MULTILINE)
STARTED = re.compile(r"^(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?(.*)$")


class Failed(Exception):  # noqa: N818  (one run of one contender)
    """A run did not come to its end; the message says how far."""


@contextlib.contextmanager
def api(url: str) -> Iterator[docker.DockerClient]:
    """Docker's API of an engine."""
    client = docker.DockerClient(base_url=url, timeout=120)
    try:
        yield client
    finally:
        client.close()


def names(job: str, nodes: int) -> list[str]:
    """The containers' names: all contenders name them alike."""
    return [f"{job}-node-{rank}" for rank in range(nodes)]


def last_start(client: docker.DockerClient, job: str, nodes: int, *, seconds: float = 120) -> float:
    """When the last node started, seconds since the epoch.

    Raises:
        Failed: not all have within ``seconds``.
    """

    def look() -> float | None:
        times = []
        for name in names(job, nodes):
            try:
                state = client.api.inspect_container(name)["State"]
            except docker.errors.NotFound:
                return None
            times.append(seconds_of(state["StartedAt"]))
        return max(times) if all(moment > 0 for moment in times) else None

    return _until(look, f"{nodes} nodes of {job} running", seconds, every=0.25)


def last_all_reduce(client: docker.DockerClient, job: str, nodes: int, *, seconds: float = 240) -> float:
    """When the last node had its first all-reduce behind it, seconds since the epoch.

    Raises:
        Failed: not all have within ``seconds``.
    """

    def look() -> float | None:
        times = []
        for name in names(job, nodes):
            try:
                match = PRINTED.search(client.api.logs(name))
            except docker.errors.APIError:
                return None
            if match is None:
                return None
            times.append(float(match[1]))
        return max(times)

    return _until(look, f"all-reduce on {nodes} nodes of {job}", seconds, every=0.5)


def remove(client: docker.DockerClient, job: str, nodes: int, *, seconds: float = 60) -> None:
    """Remove a job's containers and network, whoever made them.

    Raises:
        Failed: something is left.
    """

    def attempt() -> bool:
        for name in names(job, nodes):
            # Podman's forced removal asks politely first, for ten seconds; and one that meets a container
            # in the middle of stopping is refused, so it is tried again.
            with contextlib.suppress(docker.errors.APIError):
                client.api.kill(name)
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_container(name, force=True, v=True)
        with contextlib.suppress(docker.errors.APIError):
            client.api.remove_network(f"{job}-net")
        return _is_gone(client, job)

    _until(attempt, f"{job} removed", seconds, every=0.2)


def gone(client: docker.DockerClient, job: str, *, seconds: float = 60) -> None:
    """Wait until nothing of a job is left.

    Raises:
        Failed: something is.
    """
    _until(lambda: _is_gone(client, job), f"{job} removed", seconds, every=0.1)


def _is_gone(client: docker.DockerClient, job: str) -> bool:
    """By listing: Podman answers 500 for one that is removed while it is inspected."""
    if client.api.containers(all=True, filters={"name": f"{job}-node-"}):
        return False
    return not [n for n in client.api.networks(names=[f"{job}-net"]) if n["Name"] == f"{job}-net"]


def _until(look: Callable[[], Any], what: str, seconds: float, *, every: float) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


def seconds_of(text: str) -> float:
    """An engine's RFC 3339 time with nanoseconds; 0 for one that never started."""
    match = STARTED.match(text)
    if match is None or text.startswith("0001"):
        return 0.0
    whole, fraction, zone = match.groups()
    moment = datetime.fromisoformat(whole + (zone.replace("Z", "+00:00") or "+00:00"))
    return moment.timestamp() + float(f"0{fraction or '.0'}")
