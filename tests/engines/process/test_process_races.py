"""Concurrent calls of many threads and several engines on one state folder."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.specs import ContainerSpec, NetworkSpec
from reconciler.errors import Conflict, NotFound, StartFailed

LIFETIMES = 12


def spec(name, *command, **more):
    return ContainerSpec(name=name, image="none", labels={"job": "a"}, entrypoint=command, **more)


def test_lists_are_complete_while_others_create_and_remove(engine, state_dir):
    other = ProcessEngine(state_dir)
    over = threading.Event()
    listed = []

    def live(worker):
        for _ in range(LIFETIMES):
            name = f"c-{worker}"
            other.create_container(spec(name, "true"))
            other.start_container(name)
            other.remove_container(name)

    def look():
        while not over.is_set():
            listed.append([c.name for c in engine.list_containers({"job": "a"})])

    with ThreadPoolExecutor(4) as pool:
        looking = pool.submit(look)
        lives = [pool.submit(live, worker) for worker in range(3)]
        try:
            for each in lives:
                each.result()
        finally:
            over.set()
        looking.result()

    assert len(listed) > 3
    assert all(len(names) == len(set(names)) for names in listed)
    assert engine.list_containers({}) == []


def test_one_of_many_creators_of_a_name_succeeds(engine, state_dir):
    engines = [ProcessEngine(state_dir) for _ in range(4)]

    def create(one):
        try:
            return one.create_container(spec("same", "true"))
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [container for container in pool.map(create, engines * 4) if container]

    assert made == [engine.inspect_container("same").id]


def test_concurrent_starts_start_once(engine, state_dir, bench_of):
    bench_of(engine).create("sh", "-c", "echo started; sleep 60", name="same")
    engines = [ProcessEngine(state_dir) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.start_container("same"), engines * 2))
    engine.stop_container("same", 5)

    assert bench_of(engine).output("same").count("started") <= 1
    assert engine.inspect_container("same").state == "exited"


def test_concurrent_networks_share_neither_subnet_nor_port(engine, state_dir):
    engines = [ProcessEngine(state_dir) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        made = list(
            pool.map(
                lambda n: engines[n % 4].create_network(NetworkSpec(name=f"n-{n}", labels={})), range(12)
            )
        )

    assert len({n.subnet for n in made}) == 12
    assert len({n.port for n in made}) == 12


def test_a_removal_during_a_start_is_handled(engine, state_dir):
    other = ProcessEngine(state_dir)

    def start():
        try:
            engine.start_container("c")
        except (NotFound, StartFailed) as error:
            return str(error)
        return ""

    for _ in range(LIFETIMES):
        engine.create_container(spec("c", "sleep", "60"))
        with ThreadPoolExecutor(2) as pool:
            starting = pool.submit(start)
            pool.submit(other.remove_container, "c").result()
            starting.result()
        engine.remove_container("c")

    assert engine.list_containers({}) == []


@pytest.mark.parametrize("force", [True, False])
def test_concurrent_removals_remove_once(engine, state_dir, force):
    others = [ProcessEngine(state_dir) for _ in range(3)]
    engine.create_container(spec("c", "sleep", "60"))
    if force:
        engine.start_container("c")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda one: one.remove_container("c"), others))

    assert engine.list_containers({}) == []
