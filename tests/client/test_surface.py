"""Whoever moves code over from the SDK finds every name, parameter, default and field where it was."""

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
from tests.client import surface
from tests.client.peer import peer_python

#: Of the peer's modules, and no part of what is described there.
OTHER = {
    ".options.kubernetes": {"BuiltinTrainer", "CustomTrainer", "CustomTrainerContainer"},
    # How Kubernetes finds the pods of a job; containers have labels of their own.
    ".constants.constants": {
        "JOBSET_NAME_LABEL",
        "JOBSET_RJOB_NAME_LABEL",
        "JOB_INDEX_LABEL",
        "POD_LABEL_SELECTOR",
    },
}
#: The script is quoted here; whose logs are meant by default is said in docs/client.md.
DIFFERENT = {
    "DEFAULT_COMMAND", "EXEC_FUNC_SCRIPT", "MPI_COMMAND", "TORCH_COMMAND",
    "client_configuration", "container_runtime", "step",
}  # fmt: skip


def _of(python: str, package: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [python, surface.__file__, package], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.rpartition("SURFACE ")[2])
    return found


def _lacking(where: str, theirs: Any, ours: Any) -> list[str]:
    """What theirs has and ours has not, or has otherwise."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            return [where]
        return [
            line
            for name, value in theirs.items()
            if name not in DIFFERENT
            for line in (
                _lacking(f"{where}.{name}", value, ours[name]) if name in ours else [f"{where}.{name}"]
            )
        ]
    if isinstance(theirs, list):
        # Further ones come last, or by keyword.
        return [
            f"{where}: {one} became {other}"
            for one, other in zip(theirs, [*(ours or ()), *[None] * len(theirs)], strict=False)
            if one != other and not (isinstance(one, list) and one[0] in DIFFERENT)
        ]
    return [] if theirs == ours else [f"{where}: {theirs} became {ours}"]


def test_what_the_sdk_shows_is_here() -> None:
    theirs, ours = _of(peer_python(), "kubeflow.trainer"), _of(sys.executable, "reconciler.client")

    lacking = [
        line
        for module, names in theirs.items()
        for name, described in names.items()
        if name not in OTHER.get(module, ()) and name not in DIFFERENT
        for line in (
            _lacking(f"{module}.{name}", described, ours[module][name])
            if name in ours[module]
            else [f"{module}.{name}"]
        )
    ]

    assert lacking == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (KubernetesBackendConfig(namespace="team"), "Keep kubeflow.trainer for the cluster"),
        (LocalProcessBackendConfig(), 'container_runtime="process"'),
    ],
)
def test_the_other_backends_are_refused_with_what_to_use(config: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid backend config") as caught:
        TrainerClient(config)

    assert said in caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "nodes"), [((1, "2x2"), 1), ((2, "2x4"), 4), ((3, "4x4x4", 8), 24), ((1, "1x1"), 1)]
)
def test_nodes_of_tpu_slices(arguments: Any, nodes: int) -> None:
    assert get_tpu_num_nodes(*arguments) == nodes


@pytest.mark.parametrize("arguments", [(0, "2x2"), (1, ""), (1, "2"), (1, "axb"), (1, "0x4"), (1, "3x3", 4)])
def test_tpu_slices_that_cannot_be_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"TPU|topology|positive"):
        get_tpu_num_nodes(*arguments)


def test_outside_a_job_nothing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_URL", raising=False)

    assert not update_trainjob_status(progress_percent=10)


def test_a_server_that_does_not_answer_stops_no_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://127.0.0.1:9/status")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(token))
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_CA_CERT", raising=False)

    assert not update_trainjob_status(progress_percent=10)
