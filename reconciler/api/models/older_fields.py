"""Fields of older Trainers that files may have here, and that a cluster of today refuses.

They are in the models and not in the CRDs, and each gives a warning: such a manifest runs here and is not
portable. The list is part of the contract (DESIGN, "Files").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Type, then field -> what to write for a cluster.
OLDER_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "TorchMLPolicySource": {
        "numProcPerNode": "set spec.trainer.numProcPerNode (a number) in the TrainJob, "
        "or leave it out, then the node's GPUs or CPUs decide",
    },
}
