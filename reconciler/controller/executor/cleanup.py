"""Removes what a job leaves on the engine beside its containers: networks, volumes and files."""

from __future__ import annotations

from pathlib import Path

import structlog

from reconciler.controller.executor.container_mounts import VOLUME_CLAIM
from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.mounted_files import remove_files
from reconciler.controller.statemachine.actions import ActionResult
from reconciler.names import LABEL_KIND

_log = structlog.get_logger(__name__)


def clean_up(context: ExecutionContext, *, claims: bool) -> ActionResult:
    """Remove a job's networks, scratch volumes and files; with ``claims`` also volumes of its own claims."""
    for network in context.engine.list_networks(context.selector):
        context.engine.remove_network(network.name)
        _log.info("network removed", network=network.name)
    for volume in context.engine.list_volumes(context.selector):
        if claims or volume.labels.get(LABEL_KIND) != VOLUME_CLAIM:
            context.engine.remove_volume(volume.name)
            _log.info("volume removed", volume=volume.name)
    remove_files(Path(context.host.files))
    return ActionResult(cleaned=True)
