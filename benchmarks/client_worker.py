# ruff: noqa: PLC0415  (the functions that are sent must import what they use)
"""Drives a client from the interpreter that has it: one JSON request a line, one answer a line.

Usage: client_worker.py PACKAGE podman|docker URL IMAGE FOLDER; PACKAGE is ``reconciler.client`` or
``kubeflow.trainer``.
"""

import contextlib
import importlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RUNTIME = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata:
  name: bench
  labels: {trainer.kubeflow.org/framework: plain}
spec:
  mlPolicy: {numNodes: 1}
  template:
    spec:
      replicatedJobs:
        - name: node
          template:
            metadata: {labels: {trainer.kubeflow.org/trainjob-ancestor-step: trainer}}
            spec: {template: {spec: {containers: [{name: node, image: IMAGE}]}}}
"""


def run_for(seconds):
    import signal
    import sys
    import time

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(seconds)


def main():
    package, kind, url, image, folder = sys.argv[1:]
    api = importlib.import_module(package)
    name_option = importlib.import_module(f"{package}.options").Name
    runtime = Path(folder) / "runtime.yaml"
    runtime.write_text(RUNTIME.replace("IMAGE", image))
    client = api.TrainerClient(
        backend_config=api.ContainerBackendConfig(
            container_runtime=kind,
            container_host=url,
            pull_policy="Never",
            auto_remove=False,
            runtime_source=api.TrainingRuntimeSource(sources=[str(runtime)]),
        )
    )
    chosen = client.get_runtime("bench")

    def train(job, nodes, seconds):
        trainer = api.CustomTrainer(func=run_for, num_nodes=nodes, func_args={"seconds": seconds})
        asked = time.time()
        client.train(runtime=chosen, trainer=trainer, options=[name_option(job)])
        return {"asked": asked}

    def wait(job, status):
        client.wait_for_job_status(job, status={status}, timeout=120)
        return {"returned": time.time()}

    def list_jobs(repeat):
        found = client.list_jobs()
        times = []
        for _ in range(repeat):
            started = time.perf_counter()
            found = client.list_jobs()
            times.append(time.perf_counter() - started)
        return {"seconds": times, "jobs": len(found)}

    def delete(job):
        with contextlib.suppress(ValueError):
            client.delete_job(job)

    def forget(jobs):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(delete, jobs))
        return {}

    calls = {"train": train, "wait": wait, "list_jobs": list_jobs, "forget": forget}
    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(**calls[request.pop("call")](**request))
        except Exception as error:  # noqa: BLE001  (told to the other side, which counts it as failed)
            answer(error=f"{type(error).__name__}: {error}")


def answer(**fields):
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
