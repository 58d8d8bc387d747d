"""The downward API: fields of its own pod that a container may read (``fieldRef``, ``resourceFieldRef``).

Known when the plan is made: names, labels, annotations, resources. The pod's address is a reference,
and so are JobSet's ``restart-attempt`` and the host's address (the one at which containers reach it, the
network's gateway). ``spec.nodeName`` is ``localhost``: a plan does not know the machine it will run on,
and there is one node only. A limit that is not set is the node's capacity on a cluster; here it is
unknown, so the value is 0 with a warning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.api.quantities import parse
from reconciler.plan.expansion import ATTEMPT_REFERENCE, HOST_REFERENCE
from reconciler.plan.field_warnings import FieldWarnings

#: Label and annotation that JobSet counts up, so that a plan has a reference for it.
RESTART_ATTEMPT: Final = "jobset.sigs.k8s.io/restart-attempt"
NODE_NAME: Final = "localhost"
_SUBSCRIPT: Final = re.compile(r"^metadata\.(labels|annotations)\['([^']*)'\]$")


@dataclass(frozen=True, kw_only=True)
class PodFields:
    """The fields of a pod that the downward API has.

    Attributes:
        name: of the pod: its primary container's name on the engine.
        uid: of the TrainJob; pods have none here.
        address: reference to the pod's address.
        resources: of its containers, by name.
    """

    name: str
    namespace: str
    uid: str
    address: str
    service_account: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def field_value(self, ref: Mapping[str, Any], warnings: FieldWarnings) -> str:
        """Returns the text of a ``fieldRef``; "" with a warning if the field is unknown."""
        path: str = ref["fieldPath"]
        if match := _SUBSCRIPT.match(path):
            values = self.labels if match.group(1) == "labels" else self.annotations
            default = ATTEMPT_REFERENCE if match.group(2) == RESTART_ATTEMPT else ""
            return values.get(match.group(2), default)
        known = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.uid,
            "metadata.labels": _lines(self.labels),
            "metadata.annotations": _lines(self.annotations),
            "spec.nodeName": NODE_NAME,
            "spec.serviceAccountName": self.service_account,
            "status.podIP": self.address,
            "status.podIPs": self.address,
            "status.hostIP": HOST_REFERENCE,
            "status.hostIPs": HOST_REFERENCE,
        }
        if path not in known:
            warnings.add("fieldPath", f"{path} is not known on one host: the value is empty")
        return known.get(path, "")

    def resource_value(self, ref: Mapping[str, Any], container: str, warnings: FieldWarnings) -> str:
        """Returns the text of a ``resourceFieldRef``, rounded up; "0" with a warning if it is not set.

        Args:
            ref: names the resource, as in ``limits.cpu``, and its unit.
            container: whose resource it is where ``ref`` names none.
            warnings: at the reference.
        """
        part, _, name = ref["resource"].partition(".")
        own = self.resources.get(ref.get("containerName") or container) or {}
        limits = own.get("limits") or {}
        amounts = limits if part == "limits" else {**limits, **(own.get("requests") or {})}
        if name not in amounts:
            message = f"{ref['resource']} is not set, and a node's capacity is not known here: 0"
            warnings.add("resource", message)
            return "0"
        unit = parse(ref.get("divisor") or 1) or parse(1)
        return str(math.ceil(parse(amounts[name]) / unit))


def _lines(values: Mapping[str, str]) -> str:
    """Returns a line ``key="value"`` per entry, sorted, as the kubelet writes them."""
    return "\n".join(f'{key}="{_escape(value)}"' for key, value in sorted(values.items()))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
