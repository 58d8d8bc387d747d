"""Kustomizations and Helm charts: files that would have to be rendered to manifests, which is not done here.

Without a fault, the raw manifests beside them would run as if nothing were missing. A kustomization that only
lists files of the folder is a warning; everything else is an error with a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

_KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
_CHARTS: Final = frozenset({"Chart.yaml", "Chart.yml"})
#: Objects that a cluster's Flux renders, by their API group.
_FLUX: Final = {"kustomize.toolkit.fluxcd.io": "Kustomization", "helm.toolkit.fluxcd.io": "HelmRelease"}
#: Fields of a kustomization that change no manifest.
_WITHOUT_CHANGES: Final = frozenset({"apiVersion", "kind", "metadata", "resources"})
_LOCAL_FILE: Final = re.compile(r"(\./)?([\w-][\w.-]*/)*[\w-][\w.-]*\.(yaml|yml|json)")

_REMEDY: Final = (
    "put the manifests it makes there instead (`{command}`), and leave this file out of the folder"
)

#: Severity, field path and message.
_Finding: TypeAlias = tuple[Literal["error", "warning"], str, str]


def check_template(raw: Mapping[str, Any], *, kind: str, version: str, file: str) -> _Finding | None:
    """Returns the fault of a document that would have to be rendered; None for any other."""
    name = file.rpartition("/")[2]
    group = version.rpartition("/")[0]
    if _FLUX.get(group) == kind and kind:
        return "warning", "kind", f"a {kind} is applied by Flux on a cluster; it is not rendered here"
    if group == "kustomize.config.k8s.io" or (name in _KUSTOMIZATIONS and not group):
        return _check_kustomization(raw)
    if name in _CHARTS and not kind:
        remedy = _REMEDY.format(command="helm template . > manifests.yaml")
        return "error", "", f"a Helm chart is not rendered here: {remedy}"
    return None


def _check_kustomization(raw: Mapping[str, Any]) -> _Finding:
    remedy = _REMEDY.format(command="kubectl kustomize . > manifests.yaml")
    for key in raw:
        if key not in _WITHOUT_CHANGES and raw[key]:
            message = f"a kustomization is not rendered here, and this one changes things: {remedy}"
            return "error", str(key), message
    resources = raw.get("resources")
    for index, entry in enumerate(resources if isinstance(resources, list) else ()):
        if not isinstance(entry, str) or not _LOCAL_FILE.fullmatch(entry) or ".." in entry.split("/"):
            message = f"a kustomization is not rendered here, and this is not in the folder: {remedy}"
            return "error", f"resources[{index}]", message
    return "warning", "", "a kustomization is not rendered here; the files that it lists are read as they are"
