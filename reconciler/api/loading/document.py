"""Documents of a file, each with its faults and the lines of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.api import field_paths
from reconciler.api.faults import Fault
from reconciler.api.loading.yaml_composer import FieldLocation

if TYPE_CHECKING:
    from reconciler.api.models.core.secret_configmap import ConfigMap, Secret
    from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
    from reconciler.api.models.trainjob import TrainJob


@dataclass(frozen=True, kw_only=True)
class Document:
    """One object of a file.

    Attributes:
        kind: as written; empty when it is missing.
        namespace: ``default`` where the manifest names none; empty for a cluster-scoped kind.
        name: empty when it is missing.
        file: path of the file as given.
        line: 1-based, of the object's first line.
        raw: as decoded (YAML 1.1 as Kubernetes reads it).
        model: the object, None when it is invalid or of a kind that is not read here.
        faults: its own errors (decoding, schema) and warnings.
        location: lines of its fields.
    """

    kind: str
    namespace: str
    name: str
    file: str
    line: int
    raw: Mapping[str, Any]
    model: TrainJob | ClusterTrainingRuntime | TrainingRuntime | Secret | ConfigMap | None = None
    faults: tuple[Fault, ...] = ()
    location: FieldLocation = field(default_factory=lambda: FieldLocation(0), repr=False, compare=False)

    @property
    def object(self) -> str:
        """``Kind/namespace/name``, without the namespace for a cluster-scoped kind."""
        return "/".join(part for part in (self.kind or "?", self.namespace, self.name or "?") if part)

    @property
    def valid(self) -> bool:
        """Whether it has no fault of severity error."""
        return all(fault.severity != "error" for fault in self.faults)

    def line_of(self, path: str) -> int:
        """Returns the line of a field (``spec.trainer.env[0].name``), or of its nearest existing parent."""
        return self.location.at(field_paths.parse(path)).line

    def error(self, path: str, message: str, *, reason: str = "") -> Fault:
        """Returns an error of this document at ``path``."""
        return Fault(
            file=self.file,
            line=self.line_of(path),
            path=path,
            message=message,
            object=self.object,
            reason=reason,
        )

    def warning(self, path: str, message: str, *, reason: str = "") -> Fault:
        """Returns a warning of this document at ``path``."""
        return replace(self.error(path, message, reason=reason), severity="warning")


@dataclass(frozen=True, kw_only=True)
class LoadedFile:
    """A file's documents, and the faults that belong to none of them (syntax, size, encoding).

    With such a fault the file may be half-written: what it held before should be left as it is.
    """

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
