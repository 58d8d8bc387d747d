"""``reconciler doctor --network-test``: two throw-away containers find each other by name, and add.

What a training does first, in small: rank 1 resolves rank 0's name by the network's DNS (no ``/etc/hosts``
entry helps), connects, and both sum what the other has. With PyTorch in the image it is gloo's all-reduce,
else plain sockets. Everything carries a label of this run and is removed whatever happens; what a killed run
left is removed by the next.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check
from reconciler.names import PREFIX

if TYPE_CHECKING:
    from reconciler.engines.protocol import Engine

LABEL: Final = PREFIX + "network-test"
_NAME: Final = "network test"
#: Seconds for both containers to have ended; importing PyTorch twice takes a while on a small machine.
SECONDS: Final = 90.0
#: A run's things are another's to remove after this: it is dead by then.
_STALE: Final = 3 * SECONDS

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
PORT: Final = 29511


class _TestFailedError(Exception):
    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


def network_check(engine: Engine, image: str) -> Check:
    """Run the test with an image that has Python; the image must be there.

    Never raises for what the engine does; ctrl-C goes through, after the removal.
    """
    from reconciler.errors import EngineError  # noqa: PLC0415

    if engine.name == "process":
        return Check(name=_NAME, status="ok", detail="plain processes share this machine's network")
    started = time.monotonic()
    try:
        with _cleaned(engine) as run:
            how = _round_trip(engine, image, run)
    except _TestFailedError as failed:
        return Check(name=_NAME, status="fail", detail=failed.detail, remedy=failed.remedy)
    except EngineError as error:
        remedy = error.remedy or f"See `{engine.name} network ls` and the engine's log."
        return Check(name=_NAME, status="fail", detail=error.message, remedy=remedy)
    detail = f"name resolved and sum right over {how}, {image}, {time.monotonic() - started:.1f} s"
    return Check(name=_NAME, status="ok", detail=detail)


@contextlib.contextmanager
def _cleaned(engine: Engine) -> Iterator[str]:
    """A name for the run; all that carries it is gone afterwards, also after ctrl-C."""
    _sweep(engine)
    run = f"doctor-{int(time.time())}-{uuid.uuid4().hex[:6]}"
    try:
        yield run
    finally:
        _remove(engine, {LABEL: run})


def _sweep(engine: Engine) -> None:
    """Remove what runs left that could not clean up; their label says when they began."""
    labels = [state.labels for state in engine.list_containers({})]
    labels += [network.labels for network in engine.list_networks({})]
    for run in sorted({each[LABEL] for each in labels if LABEL in each}):
        began = run.split("-")[1] if run.count("-") == 2 else ""
        if began.isdigit() and time.time() - int(began) > _STALE:
            _remove(engine, {LABEL: run})


def _remove(engine: Engine, labels: dict[str, str]) -> None:
    from reconciler.errors import EngineError  # noqa: PLC0415

    failures: list[EngineError] = []
    for state in engine.list_containers(labels):
        try:
            engine.remove_container(state.name)
        except EngineError as error:
            failures.append(error)
    for network in engine.list_networks(labels):
        try:
            engine.remove_network(network.name)
        except EngineError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _round_trip(engine: Engine, image: str, run: str) -> str:
    from reconciler.engines.specs import ContainerSpec, NetworkSpec  # noqa: PLC0415

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
    outputs = _ended(engine, labels, names)
    return _verdict(engine, outputs, network.name)


def _ended(engine: Engine, labels: dict[str, str], names: list[str]) -> dict[str, tuple[int | None, str]]:
    """Exit status and output of both, once they have ended, or one failed, or time is up."""
    deadline = time.monotonic() + SECONDS
    while True:
        states = {state.name: state for state in engine.list_containers(labels)}
        over = [state for state in states.values() if state.exit is not None]
        failed = any(state.exit.code != 0 for state in over if state.exit is not None)
        if len(over) == len(names) or failed or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    outputs = {}
    for name in names:
        text = b"".join(engine.logs(name, follow=False)).decode(errors="replace")
        state = states.get(name)
        outputs[name] = (state.exit.code if state is not None and state.exit is not None else None, text)
    return outputs


def _verdict(engine: Engine, outputs: dict[str, tuple[int | None, str]], network: str) -> str:
    said = " ".join(text for _, text in outputs.values())
    if all(code == 0 and "sum 3" in text for code, text in outputs.values()):
        return "gloo (PyTorch)" if "gloo" in said else "plain sockets"
    last = next(
        (text.strip().splitlines()[-1] for code, text in outputs.values() if code and text.strip()), ""
    )
    if "DNS:" in last:
        packages = "netavark and aardvark-dns" if engine.name == "podman" else "Docker's embedded DNS"
        remedy = f"Names need {packages}, and port 53 of the bridge open in the host's firewall."
        raise _TestFailedError(last, remedy)
    if "resolved" not in said:
        raise _TestFailedError(
            f"nothing came of it: {last or 'no output'}", "Name an image with python3: --image"
        )
    remedy = f"Let containers of one bridge talk: see the FORWARD chain and `{engine.name} network inspect`."
    raise _TestFailedError(f"no round trip on {network}: {last or 'it took too long'}", remedy)
