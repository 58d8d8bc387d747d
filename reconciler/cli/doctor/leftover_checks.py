"""Checks of ``reconciler doctor`` for what is on the engine: leftovers, networks without DNS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check
from reconciler.names import DEFAULT_NAMESPACE, LABEL_INSTANCE, LABEL_JOB, LABEL_NAMESPACE

if TYPE_CHECKING:
    from reconciler.config.settings import Settings
    from reconciler.engines.protocol import ContainerState, Engine, NetworkState

_OVER: Final = frozenset({"Complete", "Failed"})
#: More names than this make no readable line.
_NAMED: Final = 8


def leftover_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    """What this folder's instance has on the engine, and whether it should be there."""
    mine = engine.list_containers({LABEL_INSTANCE: settings.instance})
    networks = engine.list_networks({LABEL_INSTANCE: settings.instance})
    program = "" if engine.name == "process" else engine.name
    yield _containers(mine, networks, settings, program)
    if program:
        yield _foreign(engine, program)
        yield _names(networks, program)


def _containers(
    mine: Sequence[ContainerState], networks: Sequence[NetworkState], settings: Settings, program: str
) -> Check:
    name = "containers of this folder"
    jobs = {_key(state.labels) for state in mine}
    running = sum(state.state == "running" for state in mine)
    detail = f"{len(mine)} (jobs: {len(jobs)}), {running} running"
    phases = _phases(settings)
    if phases is None:
        return Check(name=name, status="ok", detail=detail)
    gone = {key for key in jobs | {_key(net.labels) for net in networks} if key not in phases}
    over = {key for key in jobs if phases.get(key) in _OVER} if settings.auto_remove else set()
    left = [state.name for state in mine if _key(state.labels) in gone | over]
    nets = [net.name for net in networks if _key(net.labels) in gone]
    if not left and not nets:
        return Check(name=name, status="ok", detail=detail)
    why = "no manifest" if gone else "their job is over"
    things = [f"left although there is {why}: {_list(left)}"] if left else []
    things += [f"networks of no job: {_list(nets)}"] if nets else []
    remedy = f"reconciler run --once --specs {settings.specs}"
    if program:
        by_hand = f"{program} rm -f {' '.join(left)}" if left else f"{program} network rm {' '.join(nets)}"
        remedy += f" removes what is this folder's to remove; by hand: {by_hand}"
    return Check(name=name, status="warn", detail=f"{detail}; {'; '.join(things)}", remedy=remedy)


def _phases(settings: Settings) -> Mapping[str, str] | None:
    """Phase of every job that has a manifest; None when the folder can't be read."""
    from reconciler.cli.job_lookup import take  # noqa: PLC0415
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        return {job.key: job.phase for job in take(settings).jobs if job.entry is not None}
    except ReconcilerError:
        return None


def _key(labels: Mapping[str, str]) -> str:
    return f"{labels.get(LABEL_NAMESPACE, DEFAULT_NAMESPACE)}/{labels.get(LABEL_JOB, '')}"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _foreign(engine: Engine, program: str) -> Check:
    """Jobs' containers that no reconciler owns: of the SDK's own container backend, most often."""
    name = "containers of nobody"
    found = [
        state
        for state in engine.list_containers({})
        if state.labels.get(LABEL_JOB) and LABEL_INSTANCE not in state.labels and state.state == "exited"
    ]
    if not found:
        return Check(name=name, status="ok", detail="no ended job's containers without an owner")
    jobs = sorted({state.labels[LABEL_JOB] for state in found})
    remedy = "; ".join(
        f"{program} rm -f $({program} ps -aq --filter label={LABEL_JOB}={job})" for job in jobs[:_NAMED]
    )
    detail = f"{len(found)} ended ones of jobs that no reconciler made: {_list(jobs)}"
    return Check(name=name, status="warn", detail=detail, remedy=remedy)


def _names(networks: Sequence[NetworkState], program: str) -> Check:
    """Containers of a network find each other by name only where it has DNS."""
    name = "names in job networks"
    without = [net for net in networks if not net.dns]
    if not without:
        return Check(name=name, status="ok", detail=f"DNS is on in all {len(networks)}")
    mend = [f"{program} network rm -f {net.name}" for net in without]
    return Check(
        name=name,
        status="fail",
        detail=f"no DNS in {_list([net.name for net in without])}",
        remedy=f"{'; '.join(mend)}; it is made anew with DNS when the job runs again (reconciler rerun).",
    )
