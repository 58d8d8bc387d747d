"""Constants of the Kubeflow Trainer API, under their names in ``kubeflow.trainer.constants.constants``.

Values are upstream's; user code compares with them, so none may change.
"""

from __future__ import annotations

import os
from typing import Final

from reconciler.api import step_names
from reconciler.names import API_GROUP, LABEL_ANCESTOR, LABEL_FRAMEWORK, LABEL_TRAINJOB
from reconciler.names import API_VERSION as API_VERSION  # noqa: PLC0414  (re-exported)

GROUP: Final = API_GROUP
VERSION: Final = API_VERSION.partition("/")[2]

TRAINJOB_KIND: Final = "TrainJob"
TRAINJOB_PLURAL: Final = "trainjobs"
CLUSTER_TRAINING_RUNTIME_PLURAL: Final = "clustertrainingruntimes"
TRAINING_RUNTIME_PLURAL: Final = "trainingruntimes"

#: Values of ``TrainJob.status``: not all nodes run yet; all of them run (or have succeeded); the two ends.
TRAINJOB_CREATED: Final = "Created"
TRAINJOB_RUNNING: Final = "Running"
TRAINJOB_COMPLETE: Final = "Complete"
TRAINJOB_FAILED: Final = "Failed"
POD_PENDING: Final = "Pending"
POD_SUCCEEDED: Final = "Succeeded"
UNKNOWN: Final = "Unknown"

TRAINJOB_ANCESTOR_LABEL: Final = LABEL_ANCESTOR
TRAINJOB_NAME_LABEL: Final = LABEL_TRAINJOB
RUNTIME_FRAMEWORK_LABEL: Final = LABEL_FRAMEWORK

#: Names of replicated jobs (steps).
DATASET_INITIALIZER: Final = step_names.DATASET_INITIALIZER
MODEL_INITIALIZER: Final = step_names.MODEL_INITIALIZER
LAUNCHER: Final = step_names.LAUNCHER
NODE: Final = step_names.NODE

#: Folders of every node in which initializers put what they fetch.
WORKSPACE_PATH: Final = "/workspace"
DATASET_PATH: Final = f"{WORKSPACE_PATH}/dataset"
MODEL_PATH: Final = f"{WORKSPACE_PATH}/model"
INITIALIZER_ENV_ACCESS_TOKEN: Final = "ACCESS_TOKEN"  # noqa: S105  (the variable's name)
INITIALIZER_DEFAULT_IGNORE_PATTERNS: Final = ["*.msgpack", "*.h5", "*.bin", "*.pt", "*.pth"]

CPU_LABEL: Final = "cpu"
GPU_LABEL: Final = "nvidia.com/gpu"
GPU_MIG_PREFIX: Final = "nvidia.com/mig-"
TPU_LABEL: Final = "google.com/tpu"
NPU_LABEL: Final = "huawei.com/Ascend910"

#: The first is pip's index, the others are extra ones.
DEFAULT_PIP_INDEX_URLS: Final = os.getenv("DEFAULT_PIP_INDEX_URLS", "https://pypi.org/simple").split(",")
DEFAULT_TRAINING_RUNTIME: Final = os.getenv("DEFAULT_TRAINING_RUNTIME", "torch-distributed")
DEFAULT_MPI_USER_HOME: Final = os.getenv("DEFAULT_MPI_USER_HOME", "/home/mpiuser")

TORCH_ENV_NUM_PROC_PER_NODE: Final = "PET_NPROC_PER_NODE"
TORCH_TUNE_COMMAND: Final = ("tune", "run")
TORCH_TUNE_INSTRUCT_DATASET: Final = "torchtune.datasets.instruct_dataset"
DEFAULT_FRAMEWORK_IMAGES: Final = {"torch": "pytorch/pytorch:2.7.1-cuda12.8-cudnn9-runtime"}
#: Hexadecimal digits of a generated job name, after a random letter.
JOB_NAME_UUID_LENGTH: Final = 11

#: Writes the function to a file and runs it. Unlike upstream's the here-document is quoted: the shell leaves
#: ``$x`` and backticks in the user's code alone. ``__DELIMITER__`` is a line that the code does not have.
EXEC_FUNC_SCRIPT: Final = (
    "\nread -r -d '' SCRIPT << '__DELIMITER__'\n\n{func_code}\n__DELIMITER__\n"
    'printf "%s" "$SCRIPT" > "{func_file}"\n__ENTRYPOINT__ "{func_file}"'
)
DEFAULT_COMMAND: Final = ("bash", "-c", EXEC_FUNC_SCRIPT.replace("__ENTRYPOINT__", "python"))
TORCH_COMMAND: Final = ("bash", "-c", EXEC_FUNC_SCRIPT.replace("__ENTRYPOINT__", "torchrun"))
MPI_COMMAND: Final = ("mpirun", "--hostfile", "/etc/mpi/hostfile", *DEFAULT_COMMAND)
