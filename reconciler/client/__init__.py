"""The Python client: the calls, types and words of ``kubeflow.trainer``, on this machine's containers.

``from reconciler.client import TrainerClient, CustomTrainer``; see ``docs/client.md``. Names are imported
when first used: the command line has its helpers in this package, and may not pay for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.client import constants, options
    from reconciler.client.backends.container.types import ContainerBackendConfig, TrainingRuntimeSource
    from reconciler.client.backends.others import KubernetesBackendConfig, LocalProcessBackendConfig
    from reconciler.client.constants.constants import DATASET_PATH, MODEL_PATH
    from reconciler.client.jobs.progress_display import ProgressBar
    from reconciler.client.status_reporting import update_trainjob_status
    from reconciler.client.tpu_nodes import get_tpu_num_nodes
    from reconciler.client.trainer_client import TrainerClient
    from reconciler.client.types.types import (
        BuiltinTrainer,
        CustomTrainer,
        CustomTrainerContainer,
        DataCacheInitializer,
        DataFormat,
        DataType,
        Event,
        HuggingFaceDatasetInitializer,
        HuggingFaceModelInitializer,
        Initializer,
        LoraConfig,
        Loss,
        Runtime,
        RuntimeKind,
        RuntimeTrainer,
        S3DatasetInitializer,
        S3ModelInitializer,
        Step,
        TorchTuneConfig,
        TorchTuneInstructDataset,
        TrainerType,
        TrainJob,
        TrainJobTemplate,
    )

__all__ = [
    "DATASET_PATH",
    "MODEL_PATH",
    "BuiltinTrainer",
    "ContainerBackendConfig",
    "CustomTrainer",
    "CustomTrainerContainer",
    "DataCacheInitializer",
    "DataFormat",
    "DataType",
    "Event",
    "HuggingFaceDatasetInitializer",
    "HuggingFaceModelInitializer",
    "Initializer",
    "KubernetesBackendConfig",
    "LocalProcessBackendConfig",
    "LoraConfig",
    "Loss",
    "ProgressBar",
    "Runtime",
    "RuntimeKind",
    "RuntimeTrainer",
    "S3DatasetInitializer",
    "S3ModelInitializer",
    "Step",
    "TorchTuneConfig",
    "TorchTuneInstructDataset",
    "TrainJob",
    "TrainJobTemplate",
    "TrainerClient",
    "TrainerType",
    "TrainingRuntimeSource",
    "constants",
    "get_tpu_num_nodes",
    "options",
    "update_trainjob_status",
]

_ELSEWHERE: Final = {
    "ProgressBar": "jobs.progress_display",
    "ContainerBackendConfig": "backends.container.types",
    "TrainingRuntimeSource": "backends.container.types",
    "KubernetesBackendConfig": "backends.others",
    "LocalProcessBackendConfig": "backends.others",
    "DATASET_PATH": "constants.constants",
    "MODEL_PATH": "constants.constants",
    "TrainerClient": "trainer_client",
    "get_tpu_num_nodes": "tpu_nodes",
    "update_trainjob_status": "status_reporting",
}
_MODULES: Final = frozenset({"constants", "options"})


def __getattr__(name: str) -> Any:
    """Import what has ``name``, at first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    value = getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'types.types')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
