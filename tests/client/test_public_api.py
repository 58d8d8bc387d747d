"""Every name, parameter, default and field of the SDK is at the same import path here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.client import (
    KubernetesBackendConfig,
    LocalProcessBackendConfig,
    TrainerClient,
    get_tpu_num_nodes,
    update_trainjob_status,
)
from reconciler.client.client_errors import InvalidRequest
from tests.client import public_api
from tests.client.kubeflow_sdk import sdk_python

#: Names in the SDK's modules that are no part of their API.
NOT_API = {
    ".options.kubernetes": {"BuiltinTrainer", "CustomTrainer", "CustomTrainerContainer"},
    # Labels by which Kubernetes finds the pods of a job; containers have labels of their own.
    ".constants.constants": {
        "JOBSET_NAME_LABEL",
        "JOBSET_RJOB_NAME_LABEL",
        "JOB_INDEX_LABEL",
        "POD_LABEL_SELECTOR",
    },
}
#: The script is quoted here; the nodes whose logs are read by default stand in docs/client.md.
DIFFERENT = {
    "DEFAULT_COMMAND", "EXEC_FUNC_SCRIPT", "MPI_COMMAND", "TORCH_COMMAND",
    "client_configuration", "container_runtime", "step",
}  # fmt: skip


def _describe(python: str, package: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [python, public_api.__file__, package], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.rpartition("API ")[2])
    return found


def _find_differences(where: str, theirs: Any, ours: Any) -> list[str]:
    """Parts of theirs that ours lacks, or that differ."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            return [where]
        return [
            line
            for name, value in theirs.items()
            if name not in DIFFERENT
            for line in (
                _find_differences(f"{where}.{name}", value, ours[name])
                if name in ours
                else [f"{where}.{name}"]
            )
        ]
    if isinstance(theirs, list):
        # Additional ones come last, or by keyword.
        return [
            f"{where}: {one} became {other}"
            for one, other in zip(theirs, [*(ours or ()), *[None] * len(theirs)], strict=False)
            if one != other and not (isinstance(one, list) and one[0] in DIFFERENT)
        ]
    return [] if theirs == ours else [f"{where}: {theirs} became {ours}"]


def test_api_of_the_sdk_is_complete() -> None:
    theirs, ours = _describe(sdk_python(), "kubeflow.trainer"), _describe(sys.executable, "reconciler.client")

    differences = [
        line
        for module, names in theirs.items()
        for name, described in names.items()
        if name not in NOT_API.get(module, ()) and name not in DIFFERENT
        for line in (
            _find_differences(f"{module}.{name}", described, ours[module][name])
            if name in ours[module]
            else [f"{module}.{name}"]
        )
    ]

    assert differences == []


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        (KubernetesBackendConfig(namespace="team"), "Keep kubeflow.trainer for the cluster"),
        (LocalProcessBackendConfig(), 'container_runtime="process"'),
    ],
)
def test_other_backends_are_refused_with_a_remedy(config: Any, remedy: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid backend config") as caught:
        TrainerClient(config)

    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "nodes"), [((1, "2x2"), 1), ((2, "2x4"), 4), ((3, "4x4x4", 8), 24), ((1, "1x1"), 1)]
)
def test_tpu_node_count(arguments: Any, nodes: int) -> None:
    assert get_tpu_num_nodes(*arguments) == nodes


@pytest.mark.parametrize("arguments", [(0, "2x2"), (1, ""), (1, "2"), (1, "axb"), (1, "0x4"), (1, "3x3", 4)])
def test_impossible_tpu_slices_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"TPU|topology|positive"):
        get_tpu_num_nodes(*arguments)


def test_status_update_outside_a_job_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_URL", raising=False)

    assert not update_trainjob_status(progress_percent=10)


def test_failed_status_update_does_not_raise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9/status")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(token))
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", raising=False)

    assert not update_trainjob_status(progress_percent=10)
