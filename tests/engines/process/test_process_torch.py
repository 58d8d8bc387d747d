"""Two torch jobs of two ranks at the same time: the rendezvous that all ranks' addresses and ports are for."""

import ipaddress
import sys

import pytest

from reconciler.engines.process.process_engine import ProcessEngine

pytestmark = pytest.mark.slow

NODES = 2
PROGRAM = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print("total", total.item(), "of", dist.get_world_size(), "master", os.environ["MASTER_ADDR"], flush=True)
dist.barrier()
dist.destroy_process_group()
"""


def start_job(bench, job, program, site, *, torchrun):
    """As the plan of a torch runtime has it: the same port for every job, an address for every rank."""
    network = bench.network(f"{job}-net")
    addresses = [str(ipaddress.ip_network(network.subnet)[2 + rank]) for rank in range(NODES)]
    for rank, address in enumerate(addresses):
        env = {
            "PYTHONPATH": str(site),
            "MASTER_ADDR": addresses[0],
            "MASTER_PORT": "29500",
            "RANK": str(rank),
            "WORLD_SIZE": str(NODES),
        }
        if torchrun:
            env |= {"PET_MASTER_ADDR": addresses[0], "PET_MASTER_PORT": "29500", "PET_NODE_RANK": str(rank)}
            env |= {"PET_NNODES": str(NODES), "PET_NPROC_PER_NODE": "1"}
        bench.start(
            sys.executable,
            *(("-m", "torch.distributed.run") if torchrun else ()),
            str(program),
            name=f"{job}-node-{rank}",
            network=network.name,
            address=address,
            hostname=f"{job}-node-{rank}",
            hosts={f"{job}-node-{other}": a for other, a in enumerate(addresses)},
            env=env,
        )


@pytest.mark.parametrize(
    "offers",
    [{}, {"can_mount": False}, {"can_mount": False, "any_loopback": False}],
    ids=["as it is", "no namespaces", "one address"],
)
def test_two_jobs_at_once_reduce_over_their_own_ranks(state_dir, bench_of, tmp_path, torch_here, offers):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    engine = ProcessEngine(state_dir, **offers)
    bench = bench_of(engine)

    start_job(bench, "plain", program, torch_here, torchrun=False)
    start_job(bench, "elastic", program, torch_here, torchrun=True)

    out = {c.name: bench.output(c.name) for c in engine.list_containers({})}
    states = engine.list_containers({})
    for container in states:
        engine.remove_container(container.name)
    assert {c.name: c.exit.code for c in states if c.exit.code != 0} == {}, out
    assert len(out) == 2 * NODES
    assert all("total 3.0 of 2" in text for text in out.values()), out
