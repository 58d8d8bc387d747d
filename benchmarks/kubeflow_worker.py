# ruff: noqa: PLC0415  (the functions that the SDK sends must import what they use)
"""Drives the kubeflow SDK from an environment that has it: one JSON request a line, one answer a line.

Usage: kubeflow_worker.py podman|docker URL IMAGE FOLDER
"""

import json
import sys
import time
from pathlib import Path

from kubeflow.trainer import CustomTrainer, TrainerClient
from kubeflow.trainer.backends.container.types import ContainerBackendConfig, TrainingRuntimeSource
from kubeflow.trainer.options.common import Name

RUNTIME = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata:
  name: torch-distributed
  labels: {trainer.kubeflow.org/framework: torch}
spec:
  mlPolicy: {numNodes: 1, torch: {}}
  template:
    spec:
      replicatedJobs:
        - name: node
          template:
            metadata: {labels: {trainer.kubeflow.org/trainjob-ancestor-step: trainer}}
            spec: {template: {spec: {containers: [{name: node, image: IMAGE}]}}}
"""


def sleep():
    import time

    time.sleep(600)


def all_reduce():
    import time

    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    value = torch.ones(1)
    dist.all_reduce(value)
    assert value.item() == dist.get_world_size()
    print(f"all_reduce={time.time():.6f}", flush=True)
    dist.destroy_process_group()


def main():
    kind, url, image, folder = sys.argv[1:]
    runtimes = Path(folder) / "runtimes"
    runtimes.mkdir(parents=True, exist_ok=True)
    (runtimes / "torch_distributed.yaml").write_text(RUNTIME.replace("IMAGE", image))
    client = TrainerClient(
        backend_config=ContainerBackendConfig(
            container_runtime=kind,
            container_host=url,
            pull_policy="Never",
            runtime_source=TrainingRuntimeSource(sources=[f"file://{runtimes}"]),
        )
    )
    runtime = client.get_runtime("torch-distributed")
    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        func = sleep if request["work"] == "sleep" else all_reduce
        trainer = CustomTrainer(func=func, num_nodes=request["nodes"], image=image)
        asked = time.time()
        try:
            client.train(runtime=runtime, trainer=trainer, options=[Name(request["job"])])
        except Exception as error:  # noqa: BLE001  (told to the other side, which counts the run as failed)
            answer(error=f"{type(error).__name__}: {error}")
        else:
            answer(asked=asked)


def answer(**fields):
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
