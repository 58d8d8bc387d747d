"""Settings of a client: what its arguments say, then ``RECONCILER_*`` variables, then ``reconciler.yaml``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.client.backends.container.types import DEFAULT_SOURCES, ContainerBackendConfig
from reconciler.client.backends.others import INSTEAD
from reconciler.client.client_errors import InvalidRequest
from reconciler.client.embedded.host_path_grants import grants_file
from reconciler.config.settings import Settings, load_settings


def load_client_settings(config: Any, specs: str | os.PathLike[str] | None) -> tuple[Settings, bool]:
    """Returns the settings, and whether the user has named the folder.

    Args:
        config: a ContainerBackendConfig.
        specs: the folder of manifests, where the caller names one.

    Raises:
        InvalidRequest: the configuration is of another type, or the folder follows a git repository.
        ConfigError: a variable or ``reconciler.yaml`` is wrong.
    """
    if not isinstance(config, ContainerBackendConfig):
        remedy = INSTEAD.get(type(config), "Pass a ContainerBackendConfig, or nothing.")
        raise InvalidRequest(f"Invalid backend config {config!r}.", remedy=remedy)
    settings = load_settings(_flags(config, specs))
    if settings.git is not None:
        raise InvalidRequest(
            f"The manifests come from the repository {settings.git}, which only commits change.",
            remedy="Name a folder for the client's own jobs: TrainerClient(specs=...).",
        )
    return _resolve(settings, config), settings.specs != Path("specs")


def _flags(config: ContainerBackendConfig, specs: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The options that the caller has set; they win over variables and files."""
    given = config.model_fields_set
    flags: dict[str, Any] = {
        "specs": os.fspath(specs) if specs is not None else None,
        "engine": config.container_runtime,
        "container_host": config.container_host,
    }
    flags |= {name: getattr(config, name) for name in ("pull_policy", "auto_remove") if name in given}
    if "runtime_source" in given:
        flags["runtime_sources"] = list(config.runtime_source.sources)
    return flags


def _resolve(settings: Settings, config: ContainerBackendConfig) -> Settings:
    """Makes every folder absolute, so that the client keeps it when the current folder changes."""
    sources = settings.runtime_sources
    if not sources and "runtime_source" not in config.model_fields_set:
        sources = DEFAULT_SOURCES
    return replace(
        settings,
        specs=settings.specs.absolute(),
        status_dir=settings.status_dir.absolute() if settings.status_dir is not None else None,
        log_dir=settings.log_dir.absolute(),
        state_dir=settings.state_dir.absolute(),
        grants=grants_file(settings.state_dir.absolute(), settings.instance),
        runtime_sources=sources,
    )
