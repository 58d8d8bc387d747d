"""Initializers of datasets and models: upstream's types; ``file://`` names files of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.client.constants import constants


def _default_patterns() -> list[str]:
    return list(constants.INITIALIZER_DEFAULT_IGNORE_PATTERNS)


@dataclass
class BaseInitializer:
    """Base of all initializers; ``storage_uri`` is the address of the data."""

    storage_uri: str


@dataclass
class HuggingFaceDatasetInitializer(BaseInitializer):
    """A dataset of the Hugging Face hub, or a folder of this machine (``file:///data/mnist``)."""

    ignore_patterns: list[str] | None = None
    access_token: str | None = None


@dataclass
class _S3Initializer(BaseInitializer):
    ignore_patterns: list[str] | None = None
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None
    role_arn: str | None = None

    def __post_init__(self) -> None:
        if not self.storage_uri.startswith("s3://"):
            raise ValueError(f"storage_uri must start with 's3://', got {self.storage_uri}")


@dataclass
class S3DatasetInitializer(_S3Initializer):
    """A dataset in S3-compatible storage, ``s3://bucket/path``."""


@dataclass
class DataCacheInitializer(BaseInitializer):
    """A distributed data cache, ``cache://SCHEMA/TABLE``; needs a runtime that has one."""

    metadata_loc: str
    num_data_nodes: int
    head_cpu: str | None = None
    head_mem: str | None = None
    worker_cpu: str | None = None
    worker_mem: str | None = None
    iam_role: str | None = None

    def __post_init__(self) -> None:
        if self.num_data_nodes <= 1:
            raise ValueError(f"num_data_nodes must be greater than 1, got {self.num_data_nodes}")
        if not self.storage_uri.startswith("cache://"):
            raise ValueError(f"storage_uri must start with 'cache://', got {self.storage_uri}")
        if len(self.storage_uri.removeprefix("cache://").split("/")) != 2:
            raise ValueError(
                f"storage_uri must be in format 'cache://<SCHEMA_NAME>/<TABLE_NAME>', got {self.storage_uri}"
            )


@dataclass
class HuggingFaceModelInitializer(BaseInitializer):
    """A model of the Hugging Face hub, or a folder of this machine (``file:///models/llama``)."""

    ignore_patterns: list[str] | None = field(default_factory=_default_patterns)
    access_token: str | None = None


@dataclass
class S3ModelInitializer(_S3Initializer):
    """A model in S3-compatible storage, ``s3://bucket/path``."""

    ignore_patterns: list[str] | None = field(default_factory=_default_patterns)


@dataclass
class Initializer:
    """Dataset and model to fetch before the nodes start."""

    dataset: HuggingFaceDatasetInitializer | S3DatasetInitializer | DataCacheInitializer | None = None
    model: HuggingFaceModelInitializer | S3ModelInitializer | None = None
