"""Manifests: models, loading and validation. Pure: no I/O, no clock.

* :mod:`~reconciler.api.models`: one pydantic class for each Kubernetes, JobSet and Trainer type.
* :mod:`~reconciler.api.loading`: a file's bytes to documents, with the line of every field.
* :mod:`~reconciler.api.validation`: admission, one module for each subject.
* Beside them what all three share: faults, field paths, quantities, syntax of names, names of frameworks.

The names below are public, and imported when first used: building the models takes a fifth of a second. Other
types are imported from their modules. Nothing here may import :mod:`reconciler.plan` or anything above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.common.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from reconciler.api.faults import Fault as Fault
    from reconciler.api.loading.document import Document as Document
    from reconciler.api.loading.document import LoadedFile as LoadedFile
    from reconciler.api.loading.loader import load as load
    from reconciler.api.models.runtime import ClusterTrainingRuntime as ClusterTrainingRuntime
    from reconciler.api.models.runtime import TrainingRuntime as TrainingRuntime
    from reconciler.api.models.trainjob import TrainJob as TrainJob
    from reconciler.api.validation.admission import check as check
    from reconciler.api.validation.immutable_fields import check_update as check_update
    from reconciler.api.validation.unsupported_fields import find_older_fields as find_older_fields
    from reconciler.api.validation.unsupported_fields import (
        find_unsupported_fields as find_unsupported_fields,
    )
    from reconciler.api.yaml_dump import dump as dump
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
