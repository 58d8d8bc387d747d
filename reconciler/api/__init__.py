"""What a manifest may say: models, loading, validation. No I/O.

The names below are imported when first used: building some hundred pydantic classes takes a fifth of a
second, which ``reconciler --help`` and code that needs only :class:`Fault` should not pay. Types that are not
here are in the module of their subject.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.api.faults import Fault
    from reconciler.api.loading.document import Document, Loaded
    from reconciler.api.loading.loader import load
    from reconciler.api.models.base import Model
    from reconciler.api.models.batch_job import (
        JobSpec,
        JobTemplateSpec,
        PodFailurePolicy,
        PodFailurePolicyRule,
    )
    from reconciler.api.models.core.container import (
        Container,
        ContainerPort,
        ResourceRequirements,
        VolumeDevice,
        VolumeMount,
    )
    from reconciler.api.models.core.environment import EnvFromSource, EnvVar, EnvVarSource
    from reconciler.api.models.core.pod import HostAlias, PodDNSConfig, PodSpec, PodTemplateSpec
    from reconciler.api.models.core.probe import Lifecycle, LifecycleHandler, Probe
    from reconciler.api.models.core.secret_configmap import ConfigMap, Secret
    from reconciler.api.models.core.security_context import Capabilities, PodSecurityContext, SecurityContext
    from reconciler.api.models.core.volume import (
        EmptyDirVolumeSource,
        HostPathVolumeSource,
        ProjectedVolumeSource,
        Volume,
    )
    from reconciler.api.models.jobset import (
        DependsOn,
        FailurePolicy,
        FailurePolicyRule,
        JobSetSpec,
        JobSetTemplateSpec,
        Network,
        ReplicatedJob,
        StartupPolicy,
        SuccessPolicy,
        VolumeClaimPolicy,
    )
    from reconciler.api.models.metadata import EmbeddedMetadata, LocalObjectReference, ObjectMeta
    from reconciler.api.models.ml_policy import (
        FluxMLPolicySource,
        JAXMLPolicySource,
        MLPolicy,
        MPIMLPolicySource,
        PodGroupPolicy,
        TorchEnvInjection,
        TorchMLPolicySource,
        XGBoostMLPolicySource,
    )
    from reconciler.api.models.runtime import (
        ClusterTrainingRuntime,
        Runtime,
        TrainingRuntime,
        TrainingRuntimeSpec,
    )
    from reconciler.api.models.runtime_patch import (
        ContainerPatch,
        PodSpecPatch,
        ReplicatedJobPatch,
        RuntimePatch,
        TrainingRuntimeSpecPatch,
    )
    from reconciler.api.models.status import Condition, JobStatus, Metric, TrainerStatus, TrainJobStatus
    from reconciler.api.models.trainjob import (
        DatasetInitializer,
        Initializer,
        ModelInitializer,
        RuntimeRef,
        Trainer,
        TrainJob,
        TrainJobSpec,
    )
    from reconciler.api.validation.admission import check
    from reconciler.api.validation.immutable_fields import check_update
    from reconciler.api.validation.unsupported_fields import warn_meaningless
    from reconciler.api.yaml_dump import dump, dump_all

_HOMES: Final = {
    "validation.admission": ("check",),
    "models.base": ("Model",),
    "models.core.secret_configmap": ("ConfigMap", "Secret"),
    "models.core.container": (
        "Container",
        "ContainerPort",
        "ResourceRequirements",
        "VolumeDevice",
        "VolumeMount",
    ),
    "loading.document": ("Document", "Loaded"),
    "yaml_dump": ("dump", "dump_all"),
    "models.core.environment": ("EnvFromSource", "EnvVar", "EnvVarSource"),
    "faults": ("Fault",),
    "models.batch_job": ("JobSpec", "JobTemplateSpec", "PodFailurePolicy", "PodFailurePolicyRule"),
    "models.jobset": (
        "DependsOn",
        "FailurePolicy",
        "FailurePolicyRule",
        "JobSetSpec",
        "JobSetTemplateSpec",
        "Network",
        "ReplicatedJob",
        "StartupPolicy",
        "SuccessPolicy",
        "VolumeClaimPolicy",
    ),
    "loading.loader": ("load",),
    "validation.unsupported_fields": ("warn_meaningless",),
    "models.metadata": ("EmbeddedMetadata", "LocalObjectReference", "ObjectMeta"),
    "models.runtime_patch": (
        "ContainerPatch",
        "PodSpecPatch",
        "ReplicatedJobPatch",
        "RuntimePatch",
        "TrainingRuntimeSpecPatch",
    ),
    "models.core.pod": ("HostAlias", "PodDNSConfig", "PodSpec", "PodTemplateSpec"),
    "models.ml_policy": (
        "FluxMLPolicySource",
        "JAXMLPolicySource",
        "MLPolicy",
        "MPIMLPolicySource",
        "PodGroupPolicy",
        "TorchEnvInjection",
        "TorchMLPolicySource",
        "XGBoostMLPolicySource",
    ),
    "models.core.probe": ("Lifecycle", "LifecycleHandler", "Probe"),
    "models.runtime": ("ClusterTrainingRuntime", "Runtime", "TrainingRuntime", "TrainingRuntimeSpec"),
    "models.core.security_context": ("Capabilities", "PodSecurityContext", "SecurityContext"),
    "models.status": ("Condition", "JobStatus", "Metric", "TrainerStatus", "TrainJobStatus"),
    "models.trainjob": (
        "DatasetInitializer",
        "Initializer",
        "ModelInitializer",
        "RuntimeRef",
        "Trainer",
        "TrainJob",
        "TrainJobSpec",
    ),
    "validation.immutable_fields": ("check_update",),
    "models.core.volume": ("EmptyDirVolumeSource", "HostPathVolumeSource", "ProjectedVolumeSource", "Volume"),
}
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Capabilities",
    "ClusterTrainingRuntime",
    "Condition",
    "ConfigMap",
    "Container",
    "ContainerPatch",
    "ContainerPort",
    "DatasetInitializer",
    "DependsOn",
    "Document",
    "EmbeddedMetadata",
    "EmptyDirVolumeSource",
    "EnvFromSource",
    "EnvVar",
    "EnvVarSource",
    "FailurePolicy",
    "FailurePolicyRule",
    "Fault",
    "FluxMLPolicySource",
    "HostAlias",
    "HostPathVolumeSource",
    "Initializer",
    "JAXMLPolicySource",
    "JobSetSpec",
    "JobSetTemplateSpec",
    "JobSpec",
    "JobStatus",
    "JobTemplateSpec",
    "Lifecycle",
    "LifecycleHandler",
    "Loaded",
    "LocalObjectReference",
    "MLPolicy",
    "MPIMLPolicySource",
    "Metric",
    "Model",
    "ModelInitializer",
    "Network",
    "ObjectMeta",
    "PodDNSConfig",
    "PodFailurePolicy",
    "PodFailurePolicyRule",
    "PodGroupPolicy",
    "PodSecurityContext",
    "PodSpec",
    "PodSpecPatch",
    "PodTemplateSpec",
    "Probe",
    "ProjectedVolumeSource",
    "ReplicatedJob",
    "ReplicatedJobPatch",
    "ResourceRequirements",
    "Runtime",
    "RuntimePatch",
    "RuntimeRef",
    "Secret",
    "SecurityContext",
    "StartupPolicy",
    "SuccessPolicy",
    "TorchEnvInjection",
    "TorchMLPolicySource",
    "TrainJob",
    "TrainJobSpec",
    "TrainJobStatus",
    "Trainer",
    "TrainerStatus",
    "TrainingRuntime",
    "TrainingRuntimeSpec",
    "TrainingRuntimeSpecPatch",
    "Volume",
    "VolumeClaimPolicy",
    "VolumeDevice",
    "VolumeMount",
    "XGBoostMLPolicySource",
    "check",
    "check_update",
    "dump",
    "dump_all",
    "load",
    "warn_meaningless",
]


def __getattr__(name: str) -> Any:
    """Import the module that has ``name``, at first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
