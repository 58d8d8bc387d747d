"""The downward API: what a pod may learn about itself (``fieldRef``, ``resourceFieldRef``).

Known when the plan is made: names, labels, annotations, resources. The pod's address is a reference,
and so are JobSet's ``restart-attempt`` and the host's address (the one at which containers reach it, the
network's gateway). ``spec.nodeName`` is ``localhost``: a plan does not know the machine it will run on,
and there is one node only. A limit that is not set is the node's capacity on a cluster; here it is
unknown, given as 0 and warned of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING
from typing import Any, Final

from reconciler.api.quantities import parse
from reconciler.plan.expansion import ATTEMPT_REFERENCE, HOST_REFERENCE

#: The label and annotation that JobSet keeps counting, so that no plan can hold it.
RESTARTS: Final = "jobset.sigs.k8s.io/restart-attempt"
NODE_NAME: Final = "localhost"
_SUBSCRIPT: Final = re.compile(r"^metadata\.(labels|annotations)\['([^']*)'\]$")


@dataclass(frozen=True, kw_only=True)
class PodView:
    """What the downward API shows of a pod.

    Attributes:
        name: of the pod: its primary container's name on the engine.
        uid: the TrainJob's; pods have none of their own here.
        address: reference to its address.
        resources: of its containers, by name.
    """

    name: str
    namespace: str
    uid: str
    address: str
    host_network: bool = False
    service_account: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def field(self, path: str) -> str | None:
        """Text of a field; None where this project has no such field."""
        if match := _SUBSCRIPT.match(path):
            values = self.labels if match.group(1) == "labels" else self.annotations
            return values.get(match.group(2), ATTEMPT_REFERENCE if match.group(2) == RESTARTS else "")
        if path in ("metadata.labels", "metadata.annotations"):
            return _lines(self.labels if path == "metadata.labels" else self.annotations)
        return {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.uid,
            "spec.nodeName": NODE_NAME,
            "spec.serviceAccountName": self.service_account,
            "status.podIP": self.address,
            "status.podIPs": self.address,
            "status.hostIP": HOST_REFERENCE,
            "status.hostIPs": HOST_REFERENCE,
        }.get(path)

    def resource(self, container: str, resource: str, divisor: str | int | None) -> str | None:
        """Amount of ``limits.cpu`` and the like in units of ``divisor``, rounded up; None where not set."""
        part, _, name = resource.partition(".")
        own = self.resources.get(container) or {}
        limits = own.get("limits") or {}
        amounts = limits if part == "limits" else {**limits, **(own.get("requests") or {})}
        if name not in amounts:
            return None
        unit = parse(divisor) if divisor else parse(1)
        whole = (parse(amounts[name]) / (unit or parse(1))).to_integral_value(rounding=ROUND_CEILING)
        return str(int(whole))


def _lines(values: Mapping[str, str]) -> str:
    """``key="value"`` a line, sorted, as the kubelet writes them."""
    quoted = (f'{key}="{_escaped(value)}"' for key, value in sorted(values.items()))
    return "\n".join(quoted)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
