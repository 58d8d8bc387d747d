"""``ContainerBackendConfig``, with upstream's fields, validated when it is created."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from reconciler.config.settings import OPTION

DEFAULT_SOURCES = ("github://kubeflow/trainer",)


class TrainingRuntimeSource(BaseModel):
    """Sources of runtimes: the first that has a runtime of the name wins; built-in ones come last.

    Attributes:
        sources: ``github://owner/repo[/path][@ref]``, ``https://...``, ``http://...``, ``file:///...`` or an
            absolute path, of a file or a folder.
    """

    sources: list[str] = Field(default_factory=lambda: list(DEFAULT_SOURCES))

    @field_validator("sources")
    @classmethod
    def _known_schemes(cls, sources: list[str]) -> list[str]:
        for source in sources:
            if not source.startswith(("github://", "https://", "http://", "file://", "/")):
                raise ValueError(
                    f"Unsupported source URL scheme: {source}. "
                    "Supported: github://, https://, http://, file://, or absolute paths"
                )
        return sources


class ContainerBackendConfig(BaseModel):
    """How containers are run.

    Fields that are not set are taken from ``RECONCILER_*`` variables and ``reconciler.yaml``. A daemon on the
    folder has settings of its own; these are for the client without one.

    Attributes:
        pull_policy: ``IfNotPresent``, ``Always`` or ``Never``.
        auto_remove: remove containers and network of a job that has ended; False keeps them for inspection.
        container_host: URL of the engine's socket, ``unix:///run/podman/podman.sock``.
        container_runtime: ``docker``, ``podman``, or None: Docker if it answers, else Podman. ``process``
            (not upstream's) runs without any engine.
        runtime_source: where runtimes come from.
        dataset_initializer_image: for runtimes without a step ``dataset-initializer``.
        model_initializer_image: for runtimes without a step ``model-initializer``.
        initializer_timeout: seconds that such a step may take.
    """

    model_config = ConfigDict(extra="forbid")

    pull_policy: str = "IfNotPresent"
    auto_remove: bool = True
    container_host: str | None = None
    container_runtime: Literal["docker", "podman", "process"] | None = None
    runtime_source: TrainingRuntimeSource = Field(default_factory=TrainingRuntimeSource)
    dataset_initializer_image: str = "ghcr.io/kubeflow/trainer/dataset-initializer:latest"
    model_initializer_image: str = "ghcr.io/kubeflow/trainer/model-initializer:latest"
    initializer_timeout: int = Field(default=600, gt=0)

    @field_validator("pull_policy")
    @classmethod
    def _known_policy(cls, policy: str) -> str:
        return str(OPTION["pull_policy"].parse(policy))
