"""The list of frameworks."""

from __future__ import annotations

from reconciler.api.framework_names import ADDING_VOLUMES, FRAMEWORKS
from reconciler.api.models.ml_policy import MLPolicy
from reconciler.api.models.model_fields import get_fields


def test_the_frameworks_are_the_fields_of_the_policy():
    assert set(FRAMEWORKS) == set(get_fields(MLPolicy)) - {"numNodes"}
    assert set(FRAMEWORKS) >= ADDING_VOLUMES
