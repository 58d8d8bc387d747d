"""Configurations of upstream's other backends, for programs that choose one at run time.

:class:`~reconciler.client.TrainerClient` refuses them, and says what to use instead: jobs for a cluster must
not be started on this machine in silence.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict


class KubernetesBackendConfig(BaseModel):
    """Of a cluster with Kubeflow Trainer."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    namespace: str | None = None
    config_file: str | None = None
    context: str | None = None
    client_configuration: Any = None


class LocalProcessBackendConfig(BaseModel):
    """Of processes of this machine, each in a virtual environment of its own."""

    cleanup_venv: bool = True


#: What to use instead.
INSTEAD: Final[dict[type, str]] = {
    KubernetesBackendConfig: "Keep kubeflow.trainer for the cluster: the manifests that are written here run "
    "there as they are.",
    LocalProcessBackendConfig: 'Use ContainerBackendConfig(container_runtime="process"): the nodes are '
    "processes in the Python that is there, and packages are installed into it.",
}
