"""Checks of what is on the engine: leftovers of ended or deleted jobs, copies, networks without DNS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.job_lookup import read_snapshot
from reconciler.config.settings import Settings
from reconciler.controller.statemachine.ownership import own_containers
from reconciler.engines.protocol import ContainerState, Engine, NetworkState
from reconciler.errors import ReconcilerError
from reconciler.names import LABEL_INSTANCE, LABEL_JOB, job_key_of
from reconciler.state.phases import FINISHED_PHASES
from reconciler.state.record import Record
from reconciler.state.record_store import RecordStore

#: Names that are listed; more make no readable line.
_MAX_NAMED: Final = 8


def leftover_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    """Checks whether what this folder's instance has on the engine should be there."""
    listed = engine.list_containers({LABEL_INSTANCE: settings.instance})
    networks = engine.list_networks({LABEL_INSTANCE: settings.instance})
    program = "" if engine.name == "process" else engine.name
    containers = _own_containers(listed, settings)
    ids = {container.id for container in containers}
    yield _check_own(containers, networks, settings, program)
    if program:
        yield _check_copies([c for c in listed if c.id not in ids], program)
        yield _check_unowned(engine, program)
        yield _check_dns(networks, program)


def _own_containers(listed: Sequence[ContainerState], settings: Settings) -> list[ContainerState]:
    """Returns what the folder's jobs have made, by their records and by names; labels alone are copied."""
    records = RecordStore.of(settings)
    jobs: dict[str, list[ContainerState]] = {}
    for container in listed:
        jobs.setdefault(job_key_of(container.labels), []).append(container)
    own: list[ContainerState] = []
    for key, containers in jobs.items():
        namespace, _, name = key.partition("/")
        record = records.load(key) or Record(namespace=namespace, name=name, uid="", created_at=0.0)
        own += own_containers(containers, None, record)
    return own


def _check_copies(strays: Sequence[ContainerState], program: str) -> Check:
    """Checks for containers with the labels of this folder's jobs that no job has made."""
    name = "copies of containers"
    if not strays:
        return ok(name, "none carries the labels of this folder's jobs")
    names = [container.name for container in strays]
    detail = f"{_join(names)}: they carry the labels of this folder's jobs, and none made them; left alone"
    return warn(name, detail, f"when they are not needed any more: {program} rm -f {' '.join(names)}")


def _check_own(
    containers: Sequence[ContainerState], networks: Sequence[NetworkState], settings: Settings, program: str
) -> Check:
    name = "containers of this folder"
    jobs = {job_key_of(container.labels) for container in containers}
    running = sum(container.state == "running" for container in containers)
    detail = f"{len(containers)} (jobs: {len(jobs)}), {running} running"
    phases = _phases(settings)
    if phases is None:
        return ok(name, detail)
    deleted = {key for key in jobs | {job_key_of(net.labels) for net in networks} if key not in phases}
    finished = {key for key in jobs if phases.get(key) in FINISHED_PHASES} if settings.auto_remove else set()
    left = [c.name for c in containers if job_key_of(c.labels) in deleted | finished]
    left_networks = [net.name for net in networks if job_key_of(net.labels) in deleted]
    if not left and not left_networks:
        return ok(name, detail)
    reason = "there is no manifest" if deleted else "their job is over"
    findings = [f"left although {reason}: {_join(left)}"] if left else []
    findings += [f"networks of no job: {_join(left_networks)}"] if left_networks else []
    remedy = f"reconciler run --once --specs {settings.specs}"
    if program:
        by_hand = f"rm -f {' '.join(left)}" if left else f"network rm {' '.join(left_networks)}"
        remedy += f" removes what is this folder's to remove; by hand: {program} {by_hand}"
    return warn(name, f"{detail}; {'; '.join(findings)}", remedy)


def _phases(settings: Settings) -> Mapping[str, str] | None:
    """Phase of every job that has a manifest; None when the folder can't be read."""
    try:
        return {job.key: job.phase for job in read_snapshot(settings).jobs if job.entry is not None}
    except ReconcilerError:
        return None


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _check_unowned(engine: Engine, program: str) -> Check:
    """Checks for jobs' containers that no reconciler owns: of the SDK's own container backend, most often."""
    name = "containers of nobody"
    found = [
        container
        for container in engine.list_containers({})
        if container.labels.get(LABEL_JOB)
        and LABEL_INSTANCE not in container.labels
        and container.state == "exited"
    ]
    if not found:
        return ok(name, "no ended job's containers without an owner")
    jobs = sorted({container.labels[LABEL_JOB] for container in found})
    remedy = "; ".join(
        f"{program} rm -f $({program} ps -aq --filter label={LABEL_JOB}={job})" for job in jobs[:_MAX_NAMED]
    )
    return warn(name, f"{len(found)} ended ones of jobs that no reconciler made: {_join(jobs)}", remedy)


def _check_dns(networks: Sequence[NetworkState], program: str) -> Check:
    """Checks that containers of the jobs' networks find each other by name."""
    name = "names in job networks"
    without = [network.name for network in networks if not network.dns]
    if not without:
        return ok(name, f"DNS is on in all {len(networks)}")
    commands = "; ".join(f"{program} network rm -f {network}" for network in without)
    remedy = f"{commands}; it is created with DNS when the job runs again (reconciler rerun)."
    return fail(name, f"no DNS in {_join(without)}", remedy)
