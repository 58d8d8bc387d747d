"""Three ways to start the same N containers: this project, the bare engine API, the kubeflow SDK.

Each is told ``start`` and answers when the work was asked for; what became of it is read from the engine by
:mod:`benchmarks.measuring`. None of them pays for its imports or for its first connection: that is done in
``open``, as a daemon or a notebook that is up already would have.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import docker
import podman
import yaml

from benchmarks.measuring import ALL_REDUCE, Failed, api, gone, remove
from tests.support import images, manifests

Work = Literal["sleep", "all-reduce"]
WIDTH = 4
PORT = "29500"


class Contender(Protocol):
    """One way to start a job."""

    name: str

    def open(self) -> None:
        """Get everything up that is up in use."""

    def start(self, job: str, nodes: int, work: Work) -> float:
        """Ask for a job; returns when it was asked for (seconds since the epoch). May return at once."""

    def end(self, job: str, nodes: int) -> None:
        """Remove the job and wait until it is gone."""

    def close(self) -> None:
        """Stop what ``open`` started."""


def command(work: Work) -> list[str]:
    """What a node runs."""
    if work == "sleep":
        return ["sleep", "600"]
    return ["sh", "-c", f"cat > /tmp/train.py <<'EOF'\n{ALL_REDUCE}EOF\nexec torchrun /tmp/train.py"]


class Reconciler:
    """This project: a daemon watches the folder, and a manifest is dropped into it."""

    name = "reconciler"

    def __init__(self, kind: str, url: str, image: str, root: Path) -> None:
        self.kind, self.url, self.image, self.root = kind, url, image, root
        self.specs = root / "specs"
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        self.specs.mkdir(parents=True, exist_ok=True)
        # A `sleep` that is process 1 ignores TERM: half a minute of grace would be waited out for each job.
        pod = {"terminationGracePeriodSeconds": 1}
        runtime = manifests.runtime("bench", self.image, policy={"torch": {}}, pod=pod)
        self._write("runtime", runtime)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RECONCILER_")},
            "XDG_STATE_HOME": str(self.root / "state"),
            "RECONCILER_CONTAINER_HOST": self.url,
            "RECONCILER_LOG_FORMAT": "json",
        }
        command_ = ["run", "--specs", str(self.specs), "--engine", self.kind, "--no-auto-remove"]
        with (self.root / "daemon.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", *command_],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def start(self, job: str, nodes: int, work: Work) -> float:
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"the daemon has ended: {(self.root / 'daemon.log').read_text()[-800:]}")
        return self._write(job, manifests.trainjob(job, "bench", *command(work), numNodes=nodes))

    def end(self, job: str, nodes: int) -> None:  # noqa: ARG002  (the others remove node by node)
        (self.specs / f"{job}.yaml").unlink(missing_ok=True)
        with api(self.url) as client:
            gone(client, job)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=60)
            self._process.kill()

    def _write(self, stem: str, document: dict[str, Any]) -> float:
        part = self.specs / f".{stem}.part"
        part.write_text(yaml.safe_dump(document))
        asked = time.time()
        part.rename(self.specs / f"{stem}.yaml")
        return asked


class Bare:
    """The engine's own client library: network, then create and start, four at a time, addresses planned.

    The fastest that the engine allows for the same containers; nothing is checked, recorded or restarted.
    """

    name = "bare API"

    def __init__(self, kind: str, url: str, image: str) -> None:
        self.kind, self.url, self.image = kind, url, image
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(WIDTH)
        self._subnets = iter(range(256))

    def open(self) -> None:
        list(self._pool.map(lambda _: self._client().version(), range(WIDTH * 2)))

    def start(self, job: str, nodes: int, work: Work) -> float:
        asked = time.time()
        prefix = self._network(f"{job}-net")
        master = f"{prefix}.2"

        def one(rank: int) -> None:
            self._node(
                f"{job}-node-{rank}",
                f"{job}-net",
                f"{prefix}.{rank + 2}",
                self._env(rank, nodes, master),
                work,
            )

        list(self._pool.map(one, range(nodes)))
        return asked

    def end(self, job: str, nodes: int) -> None:
        with api(self.url) as client:
            remove(client, job, nodes)

    def close(self) -> None:
        self._pool.shutdown()

    def _client(self) -> Any:
        """One for each thread: neither library's client may be shared."""
        if not hasattr(self._local, "client"):
            make = podman.PodmanClient if self.kind == "podman" else docker.DockerClient
            self._local.client = make(base_url=self.url)
        return self._local.client

    def _network(self, name: str) -> str:
        """Make it; the first three numbers of its addresses."""
        client = self._client()
        if self.kind == "podman":
            network = client.networks.create(name, dns_enabled=True)
            subnet = network.attrs["subnets"][0]["subnet"]
        else:
            subnet = f"10.213.{next(self._subnets)}.0/24"
            pool = docker.types.IPAMPool(subnet=subnet)
            client.networks.create(name, driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
        return str(subnet).rsplit(".", 1)[0]

    def _node(self, name: str, network: str, address: str, env: dict[str, str], work: Work) -> None:
        client = self._client()
        common: dict[str, Any] = {"name": name, "hostname": name, "environment": env}
        if self.kind == "podman":
            container = client.containers.create(
                self.image, command(work), networks={network: {"static_ips": [address]}}, **common
            )
        else:
            endpoint = docker.types.EndpointConfig(client.api._version, ipv4_address=address)  # noqa: SLF001
            container = client.containers.create(
                self.image, command(work), network=network, networking_config={network: endpoint}, **common
            )
        container.start()

    def _env(self, rank: int, nodes: int, master: str) -> dict[str, str]:
        return {
            "PET_NNODES": str(nodes), "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": str(rank),
            "PET_MASTER_ADDR": master, "PET_MASTER_PORT": PORT,
        }  # fmt: skip


class Kubeflow:
    """The SDK's container backend, in an environment of its own: ``TrainerClient.train()``.

    Its image must contain PyTorch (it mounts nothing). For ``sleep`` its node 0 ends early where the image
    has none; the time that its containers started does not depend on that.
    """

    name = "kubeflow 0.5"

    def __init__(self, kind: str, url: str, image: str, root: Path, python: Path) -> None:
        self.kind, self.url, self.image, self.root, self.python = kind, url, image, root, python
        self._process: subprocess.Popen[str] | None = None

    def open(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        worker = Path(__file__).with_name("kubeflow_worker.py")
        log: IO[str] = (self.root / "kubeflow.log").open("w")
        self._process = subprocess.Popen(
            [str(self.python), str(worker), self.kind, self.url, self.image, str(self.root)],
            env={**os.environ, "HOME": str(self.root)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        self._read()

    def start(self, job: str, nodes: int, work: Work) -> float:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, "nodes": nodes, "work": work}) + "\n")
        self._process.stdin.flush()
        return float(self._read()["asked"])

    def end(self, job: str, nodes: int) -> None:
        # Not by its delete_job(): that waits ten seconds for each container to stop.
        with api(self.url) as client:
            remove(client, job, nodes)

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
            self._process.kill()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"the kubeflow SDK: {(self.root / 'kubeflow.log').read_text()[-800:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Failed(f"the kubeflow SDK: {answer['error']}")
        return answer


def contenders(kind: str, url: str, work: Work, root: Path, kubeflow: Path | None) -> list[Contender]:
    """All of them on one engine, with the same image."""
    image = (
        images.ensure_image(kind, url=url) if work == "sleep" else images.ensure_torch_image(kind, url=url)
    )
    found: list[Contender] = [Reconciler(kind, url, image, root / "reconciler"), Bare(kind, url, image)]
    if kubeflow is not None:
        found.append(Kubeflow(kind, url, image, root / "kubeflow", kubeflow))
    return found
