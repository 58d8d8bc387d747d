"""Removes what a job leaves on the engine beside its containers: networks, volumes and files.

What carries the job's labels under a name that is none of the job's is left alone.

What can go wrong: a container that is not the job's (somebody's copy of a rank) sits on the network, or
mounts a volume. What it uses stays then, and is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from reconciler.controller.executor.container_mounts import VOLUME_CLAIM
from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.mounted_files import remove_files
from reconciler.controller.statemachine.actions import STILL_IN_USE, ActionResult
from reconciler.controller.statemachine.ownership import is_own_network
from reconciler.errors import Conflict
from reconciler.names import LABEL_JOB, LABEL_KIND, LABEL_NAMESPACE, is_volume_name

_log = structlog.get_logger(__name__)


def clean_up(context: ExecutionContext, *, claims: bool) -> ActionResult:
    """Remove a job's networks, scratch volumes and files; with ``claims`` also volumes of its own claims.

    Returns:
        ``cleaned``, or the problem: what others use, and how it is set free.
    """
    engine = context.engine
    namespace, job = context.selector[LABEL_NAMESPACE], context.selector[LABEL_JOB]
    in_use: list[str] = []
    for network in engine.list_networks(context.selector):
        if is_own_network(network, namespace, job) and _removed(network.name, engine.remove_network, in_use):
            _log.info("network removed", network=network.name)
    for volume in engine.list_volumes(context.selector):
        own = is_volume_name(volume.name, namespace, job)
        goes = own and (claims or volume.labels.get(LABEL_KIND) != VOLUME_CLAIM)
        if goes and _removed(volume.name, engine.remove_volume, in_use):
            _log.info("volume removed", volume=volume.name)
    remove_files(Path(context.host.files))
    if not in_use:
        return ActionResult(cleaned=True)
    message = (
        f"{'; '.join(in_use)}. It stays, and is tried again: remove the containers that are not this job's "
        f"(`{engine.name} ps -a --filter network=...` or `--filter volume=...` shows them)."
    )
    return ActionResult(problem=(STILL_IN_USE, message))


def _removed(name: str, remove: Callable[[str], None], in_use: list[str]) -> bool:
    try:
        remove(name)
    except Conflict as error:
        in_use.append(error.message.rstrip("."))
        return False
    return True
