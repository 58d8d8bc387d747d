"""Names that upstream gives to steps, their containers, and their part in a training (the ancestor)."""

from __future__ import annotations

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
