"""Configurations of upstream's other backends, for programs that choose a backend at run time.

:class:`~reconciler.client.TrainerClient` refuses them with what to use instead: jobs for a cluster must not
be started on this machine without notice.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict


class KubernetesBackendConfig(BaseModel):
    """Configures a cluster with Kubeflow Trainer."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    namespace: str | None = None
    config_file: str | None = None
    context: str | None = None
    client_configuration: Any = None


class LocalProcessBackendConfig(BaseModel):
    """Configures processes of this machine, each in a virtual environment of its own."""

    cleanup_venv: bool = True


#: Remedy by the type of the refused configuration.
INSTEAD: Final[dict[type, str]] = {
    KubernetesBackendConfig: "Keep kubeflow.trainer for the cluster: the manifests that are written here run "
    "there as they are.",
    LocalProcessBackendConfig: 'Use ContainerBackendConfig(container_runtime="process"): the nodes are '
    "processes in the Python that is there, and packages are installed into it.",
}
