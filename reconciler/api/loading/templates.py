"""Files that are no manifests but recipes for them: kustomizations and Helm charts. Nobody renders them here.

Passing them by in silence would run the raw manifests beside them as if nothing were missing. A kustomization
that only lists files changes nothing and is a warning; everything else is an error with what to do. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

#: ``Fault.reason`` of all of this.
NOT_RENDERED: Final = "NotRendered"
KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})
CHARTS: Final = frozenset({"Chart.yaml", "Chart.yml"})
#: Objects that a cluster's Flux renders, by their API group.
_FLUX: Final = {"kustomize.toolkit.fluxcd.io": "Kustomization", "helm.toolkit.fluxcd.io": "HelmRelease"}
#: What a kustomization may hold that changes nothing.
_HARMLESS: Final = frozenset({"apiVersion", "kind", "metadata", "resources"})
_LOCAL_FILE: Final = re.compile(r"(\./)?([\w-][\w.-]*/)*[\w-][\w.-]*\.(yaml|yml|json)")

_REMEDY: Final = (
    "put the manifests it makes there instead (`{command}`), and leave this file out of the folder"
)


def unrendered(
    raw: Mapping[str, Any], *, kind: str, version: str, file: str
) -> tuple[Literal["error", "warning"], str, str] | None:
    """Severity, field and sentence for a document that would have to be rendered; None for any other."""
    name = file.rpartition("/")[2]
    group = version.rpartition("/")[0]
    if _FLUX.get(group) == kind and kind:
        return "warning", "kind", f"a {kind} is applied by Flux on a cluster; it is not rendered here"
    if group == "kustomize.config.k8s.io" or (name in KUSTOMIZATIONS and not group):
        return _kustomization(raw)
    if name in CHARTS and not kind:
        command = "helm template . > manifests.yaml"
        return "error", "", f"a Helm chart is not rendered here: {_REMEDY.format(command=command)}"
    return None


def _kustomization(raw: Mapping[str, Any]) -> tuple[Literal["error", "warning"], str, str]:
    command = "kubectl kustomize . > manifests.yaml"
    remedy = _REMEDY.format(command=command)
    for key in raw:
        if key not in _HARMLESS and raw[key]:
            return (
                "error",
                str(key),
                f"a kustomization is not rendered here, and this one changes things: {remedy}",
            )
    resources = raw.get("resources")
    for index, entry in enumerate(resources if isinstance(resources, list) else ()):
        if not isinstance(entry, str) or not _LOCAL_FILE.fullmatch(entry) or ".." in entry.split("/"):
            path = f"resources[{index}]"
            return (
                "error",
                path,
                f"a kustomization is not rendered here, and this is not in the folder: {remedy}",
            )
    return "warning", "", "a kustomization is not rendered here; the files that it lists are read as they are"
