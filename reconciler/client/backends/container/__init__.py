"""The container backend's configuration, at upstream's import path."""

from reconciler.client.backends.container.types import ContainerBackendConfig, TrainingRuntimeSource

__all__ = ["ContainerBackendConfig", "TrainingRuntimeSource"]
