"""``reconciler doctor --network-test``: two throw-away containers find each other by name, and add up.

What a training does first, in small: rank 1 resolves rank 0's name by the network's DNS (no ``/etc/hosts``
entry helps), connects, and both sum what the other has. With PyTorch in the image it is gloo's all-reduce,
else plain sockets. Everything carries a label of this run and is removed whatever happens; what a killed run
left is removed by the next.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok
from reconciler.engines.protocol import Engine
from reconciler.engines.specs import ContainerSpec, NetworkSpec
from reconciler.errors import EngineError, ReconcilerError
from reconciler.names import KEY_PREFIX

LABEL: Final = KEY_PREFIX + "network-test"
_NAME: Final = "network test"
#: Seconds for both containers to exit; importing PyTorch twice takes a while on a small machine.
TIMEOUT: Final = 90.0
#: A run is dead after this many seconds, and what it left is another's to remove.
_STALE_AFTER: Final = 3 * TIMEOUT
PORT: Final = 29511

#: Run in both containers: ``rank``, rank 0's name, a port.
SCRIPT: Final = """\
import os, socket, sys, time
rank, peer, port, end = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), time.time() + 60
def found():
    while True:
        try:
            return socket.gethostbyname(peer)
        except OSError as error:
            if time.time() > end:
                sys.exit(f"DNS: {peer} is not resolved: {error}")
            time.sleep(0.2)
address = found()
print("resolved", peer, address, flush=True)
try:
    import torch, torch.distributed as dist
except ImportError:
    dist = None
if dist is not None:
    dist.init_process_group("gloo", init_method=f"tcp://{address}:{port}", rank=rank, world_size=2)
    total = torch.tensor([rank + 1]); dist.all_reduce(total); total, how = int(total), "gloo"
elif rank == 0:
    with socket.create_server(("", port)) as server:
        server.settimeout(60)
        peer_socket, _ = server.accept()
        with peer_socket:
            total = 1 + int(peer_socket.recv(16)); peer_socket.sendall(str(total).encode())
    how = "sockets"
else:
    while True:
        try:
            link = socket.create_connection((address, port), timeout=5); break
        except OSError as error:
            if time.time() > end:
                sys.exit(f"connection: {address}:{port}: {error}")
            time.sleep(0.2)
    with link:
        link.sendall(b"2"); total = int(link.recv(16))
    how = "sockets"
print("sum", total, how, flush=True)
"""

#: Exit status (None: still running) and output of each container.
_Outputs = Mapping[str, tuple[int | None, str]]


def run_network_test(engine: Engine, image: str) -> Check:
    """Runs the test with an image that has Python; the engine must have the image.

    Never raises for what the engine does; an interrupt is passed on, after the removal.
    """
    if engine.name == "process":
        return ok(_NAME, "plain processes share this machine's network")
    started = time.monotonic()
    try:
        with _unique_run(engine) as run:
            how = _round_trip(engine, image, run)
    except ReconcilerError as error:
        remedy = error.remedy or f"See `{engine.name} network ls` and the engine's log."
        return fail(_NAME, error.message, remedy)
    return ok(_NAME, f"name resolved and sum right over {how}, {image}, {time.monotonic() - started:.1f} s")


@contextlib.contextmanager
def _unique_run(engine: Engine) -> Iterator[str]:
    """Gives the run's name; everything that carries it is removed afterwards, also after an interrupt."""
    _remove_stale(engine)
    run = f"doctor-{int(time.time())}-{uuid.uuid4().hex[:6]}"
    try:
        yield run
    finally:
        _remove(engine, {LABEL: run})


def _remove_stale(engine: Engine) -> None:
    """Removes what killed runs left; their label says when they began."""
    labels = [container.labels for container in engine.list_containers({})]
    labels += [network.labels for network in engine.list_networks({})]
    for run in sorted({each[LABEL] for each in labels if LABEL in each}):
        began = run.split("-")[1] if run.count("-") == 2 else ""
        if began.isdigit() and time.time() - int(began) > _STALE_AFTER:
            _remove(engine, {LABEL: run})


def _remove(engine: Engine, labels: dict[str, str]) -> None:
    failures: list[EngineError] = []

    def attempt(remove: Callable[[str], None], name: str) -> None:
        try:
            remove(name)
        except EngineError as error:
            failures.append(error)

    for container in engine.list_containers(labels):
        attempt(engine.remove_container, container.name)
    for network in engine.list_networks(labels):
        attempt(engine.remove_network, network.name)
    if failures:
        raise failures[0]


def _round_trip(engine: Engine, image: str, run: str) -> str:
    labels = {LABEL: run}
    network = engine.create_network(NetworkSpec(name=f"{run}-net", labels=labels, min_addresses=2))
    names = [f"{run}-node-{rank}" for rank in range(2)]
    for rank, name in enumerate(names):
        spec = ContainerSpec(
            name=name,
            image=image,
            labels=labels,
            entrypoint=("python3", "-c", SCRIPT, str(rank), names[0], str(PORT)),
            hostname=name,
            network=network.name,
            stop_grace=1,
        )
        engine.start_container(engine.create_container(spec))
    outputs = _wait_for_exits(engine, labels, names)
    return _interpret(engine, outputs, network.name)


def _wait_for_exits(engine: Engine, labels: dict[str, str], names: list[str]) -> _Outputs:
    """Returns once both have exited, or one has failed, or time is up."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        exits = {c.name: c.exit.code for c in engine.list_containers(labels) if c.exit is not None}
        failed = any(code != 0 for code in exits.values())
        if len(exits) == len(names) or failed or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return {
        name: (exits.get(name), b"".join(engine.logs(name, follow=False)).decode(errors="replace"))
        for name in names
    }


def _interpret(engine: Engine, outputs: _Outputs, network: str) -> str:
    """Returns how they added up.

    Raises:
        ReconcilerError: they did not.
    """
    printed = " ".join(text for _, text in outputs.values())
    if all(code == 0 and "sum 3" in text for code, text in outputs.values()):
        return "gloo (PyTorch)" if "gloo" in printed else "plain sockets"
    last = next(
        (text.strip().splitlines()[-1] for code, text in outputs.values() if code and text.strip()), ""
    )
    if "DNS:" in last:
        packages = "netavark and aardvark-dns" if engine.name == "podman" else "Docker's embedded DNS"
        remedy = f"Names need {packages}, and port 53 of the bridge open in the host's firewall."
        raise ReconcilerError(last, remedy=remedy)
    if "resolved" not in printed:
        raise ReconcilerError(
            f"nothing came of it: {last or 'no output'}", remedy="Name an image with python3: --image"
        )
    remedy = f"Let containers of one bridge talk: see the FORWARD chain and `{engine.name} network inspect`."
    raise ReconcilerError(f"no round trip on {network}: {last or 'it took too long'}", remedy=remedy)
