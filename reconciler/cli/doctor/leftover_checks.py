"""Checks of what is on the engine: leftovers of ended or deleted jobs, networks without DNS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.job_lookup import read_snapshot
from reconciler.config.settings import Settings
from reconciler.engines.protocol import ContainerState, Engine, NetworkState
from reconciler.errors import ReconcilerError
from reconciler.names import LABEL_INSTANCE, LABEL_JOB, job_key_of
from reconciler.state.phases import FINISHED_PHASES

#: Names that are listed; more make no readable line.
_MAX_NAMED: Final = 8


def leftover_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    """Checks whether what this folder's instance has on the engine should be there."""
    containers = engine.list_containers({LABEL_INSTANCE: settings.instance})
    networks = engine.list_networks({LABEL_INSTANCE: settings.instance})
    program = "" if engine.name == "process" else engine.name
    yield _check_own(containers, networks, settings, program)
    if program:
        yield _check_unowned(engine, program)
        yield _check_dns(networks, program)


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
