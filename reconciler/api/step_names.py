"""Names that upstream gives to steps, their containers, and their part in a training (the ancestor)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Ancestor of the step whose pods train.
TRAINER: Final = "trainer"
#: Step and container that train.
NODE: Final = "node"
#: Step that starts MPI.
LAUNCHER: Final = "launcher"
#: Ancestor, step and container at once.
DATASET_INITIALIZER: Final = "dataset-initializer"
MODEL_INITIALIZER: Final = "model-initializer"
#: Volume that the initializers fill.
INITIALIZER_VOLUME: Final = "initializer"


def infer_trainer(ancestors: Mapping[str, str], *, launched: bool) -> str:
    """Returns the replicated job that trains although no label says so; "" where one says it, or none can.

    Older runtimes have no such label: there the one named ``node`` trains, or what launches an MPI job. A
    cluster's Trainer goes by the label alone.

    Args:
        ancestors: name of each replicated job, and its label (``trainjob-ancestor-step``) or "".
        launched: whether the framework has a launcher (MPI).
    """
    if TRAINER in ancestors.values():
        return ""
    candidates = (LAUNCHER, NODE) if launched else (NODE,)
    return next((name for name in candidates if ancestors.get(name) == ""), "")
