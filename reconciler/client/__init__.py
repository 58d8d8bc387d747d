"""The Python client: the API of ``kubeflow.trainer``, with jobs on this machine's containers.

``from reconciler.client import TrainerClient, CustomTrainer``; see ``docs/client.md``. Public are the names
below and the sub-packages ``types``, ``options``, ``constants`` and ``backends``, which have upstream's
paths. The rest is internal:

* :mod:`~reconciler.client.trainer_client`: ``TrainerClient``; its errors:
  :mod:`~reconciler.client.client_errors`.
* :mod:`~reconciler.client.jobs`: reads jobs, logs and progress. ``reconciler get``, ``describe``, ``wait``
  and ``logs`` read by the same modules.
* :mod:`~reconciler.client.manifests`: writes and edits manifests. ``reconciler suspend``, ``resume``,
  ``rerun`` and ``delete`` edit by the same modules.
* :mod:`~reconciler.client.embedded`: the controller that runs the jobs while no daemon does.
* :mod:`~reconciler.client.runtime_objects`: ``Runtime`` objects;
  :mod:`~reconciler.client.trainjob_status_update` and :mod:`~reconciler.client.tpu_nodes`: upstream's
  functions.

Names are imported when first used: commands import from this package, and may not pay for pydantic. The
package never imports the command line, and the controller only in :mod:`~reconciler.client.embedded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.common.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from reconciler.client import constants as constants
    from reconciler.client import options as options
    from reconciler.client.backends.container.types import ContainerBackendConfig as ContainerBackendConfig
    from reconciler.client.backends.container.types import TrainingRuntimeSource as TrainingRuntimeSource
    from reconciler.client.backends.others import KubernetesBackendConfig as KubernetesBackendConfig
    from reconciler.client.backends.others import LocalProcessBackendConfig as LocalProcessBackendConfig
    from reconciler.client.constants.constants import DATASET_PATH as DATASET_PATH
    from reconciler.client.constants.constants import MODEL_PATH as MODEL_PATH
    from reconciler.client.jobs.progress_display import ProgressBar as ProgressBar
    from reconciler.client.tpu_nodes import get_tpu_num_nodes as get_tpu_num_nodes
    from reconciler.client.trainer_client import TrainerClient as TrainerClient
    from reconciler.client.trainjob_status_update import update_trainjob_status as update_trainjob_status
    from reconciler.client.types.types import BuiltinTrainer as BuiltinTrainer
    from reconciler.client.types.types import CustomTrainer as CustomTrainer
    from reconciler.client.types.types import CustomTrainerContainer as CustomTrainerContainer
    from reconciler.client.types.types import DataCacheInitializer as DataCacheInitializer
    from reconciler.client.types.types import DataFormat as DataFormat
    from reconciler.client.types.types import DataType as DataType
    from reconciler.client.types.types import Event as Event
    from reconciler.client.types.types import HuggingFaceDatasetInitializer as HuggingFaceDatasetInitializer
    from reconciler.client.types.types import HuggingFaceModelInitializer as HuggingFaceModelInitializer
    from reconciler.client.types.types import Initializer as Initializer
    from reconciler.client.types.types import LoraConfig as LoraConfig
    from reconciler.client.types.types import Loss as Loss
    from reconciler.client.types.types import Runtime as Runtime
    from reconciler.client.types.types import RuntimeKind as RuntimeKind
    from reconciler.client.types.types import RuntimeTrainer as RuntimeTrainer
    from reconciler.client.types.types import S3DatasetInitializer as S3DatasetInitializer
    from reconciler.client.types.types import S3ModelInitializer as S3ModelInitializer
    from reconciler.client.types.types import Step as Step
    from reconciler.client.types.types import TorchTuneConfig as TorchTuneConfig
    from reconciler.client.types.types import TorchTuneInstructDataset as TorchTuneInstructDataset
    from reconciler.client.types.types import TrainerType as TrainerType
    from reconciler.client.types.types import TrainJob as TrainJob
    from reconciler.client.types.types import TrainJobTemplate as TrainJobTemplate
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
