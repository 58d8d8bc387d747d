"""The container backend's configuration, where upstream has it."""

from reconciler.client.backends.container.types import ContainerBackendConfig, TrainingRuntimeSource

__all__ = ["ContainerBackendConfig", "TrainingRuntimeSource"]
