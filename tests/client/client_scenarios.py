# ruff: noqa: PLC0415, ANN  (runs in two interpreters; functions that are sent import what they use)
"""What users do with a client, with results as data; run with this package, and with the SDK's interpreter.

Usage: client_scenarios.py PACKAGE ENGINE URL FOLDER; PACKAGE is ``reconciler.client`` or ``kubeflow.trainer``. One JSON
object is printed, a result for each scenario; a scenario that raises has the exception in its result.
"""

import importlib
import json
import os
import sys
import time
import uuid


def greet(name="nobody", nodes=1):
    import os
    import socket
    import time

    print(f"hello {name}, FLAVOUR={os.environ.get('FLAVOUR')}", flush=True)
    # The SDK starts a node once rank 0 listens on the master's port, which PyTorch would do.
    if nodes > 1 and os.environ.get("RANK", "0") == "0":
        with socket.create_server(("", 29500)) as server:
            server.settimeout(8 if "RANK" in os.environ else 4)
            try:
                for _ in range(nodes - 1):
                    server.accept()
            except TimeoutError:
                pass
    elif nodes > 1:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection((os.environ["MASTER_ADDR"], 29500), 2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("the master does not listen")


def linger():
    import os
    import time
    from pathlib import Path

    print(f"waits as {os.uname().nodename}", flush=True)
    # The shell around it is process 1 and ignores TERM: without this, deleting would take 30 s of grace.
    deadline = time.monotonic() + 12
    while not Path("/tmp/go").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def fail():
    import sys

    print("about to fail", flush=True)
    sys.exit(3)


def read_dataset():
    from pathlib import Path

    for path in sorted(Path("/workspace").rglob("*")):
        print(path, path.read_text().strip() if path.is_file() else "", flush=True)


class Scenarios:
    """Each method is a scenario, and returns its result."""

    def __init__(self, package, engine, url, folder):
        self.api = importlib.import_module(package)
        options = importlib.import_module(f"{package}.options")
        self.constants = importlib.import_module(f"{package}.constants.constants")
        self.name_option = options.Name
        self.image = os.environ["SCENARIO_IMAGE"]
        sources = [f"file://{folder}/runtimes", os.environ["SCENARIO_URL"]]
        self.client = self.client_with(engine, url, sources)
        self.tag = uuid.uuid4().hex[:6]

    def client_with(self, engine, url, sources):
        config = self.api.ContainerBackendConfig(
            container_runtime=engine,
            container_host=url,
            pull_policy="Never",
            auto_remove=False,
            runtime_source=self.api.TrainingRuntimeSource(sources=sources),
            dataset_initializer_image=self.image,
            model_initializer_image=self.image,
            initializer_timeout=60,
        )
        return self.api.TrainerClient(backend_config=config)

    def start(self, stem, func, *, initializer=None, runtime="plain-file", **fields):
        trainer = self.api.CustomTrainer(func=func, **fields)
        name = f"{stem}-{self.tag}"
        started = self.client.train(
            runtime=runtime, trainer=trainer, initializer=initializer, options=[self.name_option(name)]
        )
        assert started == name
        return name

    def wait(self, name, **arguments):
        return self.client.wait_for_job_status(name, timeout=90, polling_interval=1, **arguments)

    def finish(self, name):
        job = self.wait(name)
        seen = {
            "status": job.status,
            "nodes": job.num_nodes,
            "runtime": job.runtime.name,
            "steps": [[step.name, step.status, step.pod_name.replace(name, "JOB")] for step in job.steps],
            "log": [line.replace(name, "JOB") for line in self.log(name)],
            "created": abs(job.creation_timestamp.timestamp() - time.time()) < 120,
        }
        self.client.delete_job(name)
        return seen

    def log(self, name, **arguments):
        return "".join(self.client.get_job_logs(name, **arguments)).splitlines()

    def one_node(self):
        return self.finish(self.start("one", greet))

    def two_nodes_with_arguments_and_env(self):
        name = self.start(
            "two",
            greet,
            num_nodes=2,
            func_args={"name": "it's $you", "nodes": 2},
            env={"FLAVOUR": "sweet & sour"},
        )
        return self.finish(name)

    def four_nodes(self):
        return self.finish(self.start("four", greet, num_nodes=4, func_args={"nodes": 4}))

    def own_image(self):
        return self.finish(self.start("image", greet, runtime="plain-broken", image=self.image))

    def runtime_object(self):
        return self.finish(self.start("object", greet, runtime=self.client.get_runtime("plain-http")))

    def failing_function(self):
        name = self.start("fail", fail, num_nodes=2)
        seen = {}
        try:
            self.wait(name)
        except RuntimeError as error:
            seen["message"] = str(error).replace(name, "JOB")
        seen["status"] = self.wait(name, status={self.constants.TRAINJOB_FAILED}).status
        seen["log"] = self.log(name)
        self.client.delete_job(name)
        return seen

    def missing_packages(self):
        name = self.start(
            "packages",
            greet,
            packages_to_install=["no-such-package"],
            pip_index_urls=["http://127.0.0.1:9/simple"],
        )
        try:
            self.wait(name)
        except RuntimeError as error:
            return {"message": str(error)}
        finally:
            self.client.delete_job(name)

    def waiting(self):
        name = self.start("linger", linger, num_nodes=2)
        statuses = []
        running = self.wait(name, status={"Running"}, callbacks=[lambda job: statuses.append(job.status)])
        listed = {job.name: job.status for job in self.client.list_jobs()}
        seen = {
            "running": running.status,
            "steps": [[step.name, step.status] for step in running.steps],
            "callbacks": bool(statuses) and statuses[-1] == "Running",
            "listed": listed.get(name),
            "of_runtime": name
            in [j.name for j in self.client.list_jobs(runtime=self.client.get_runtime("plain-file"))],
            "of_another": name
            in [j.name for j in self.client.list_jobs(runtime=self.client.get_runtime("plain-http"))],
        }
        try:
            self.client.wait_for_job_status(name, timeout=2, polling_interval=1)
        except TimeoutError as error:
            seen["timeout"] = str(error).replace(name, "JOB")
        try:
            self.start("linger", greet)
        except Exception as error:  # noqa: BLE001  (each package has its own)
            seen["twice"] = type(error).__name__
        self.client.delete_job(name)
        seen["left"] = [job.name for job in self.client.list_jobs() if job.name == name]
        return seen

    def missing_objects(self):
        seen = {}
        for name, call in {
            "get_job": lambda: self.client.get_job("no-such-job"),
            "delete_job": lambda: self.client.delete_job("no-such-job"),
            "get_job_logs": lambda: list(self.client.get_job_logs("no-such-job")),
            "get_runtime": lambda: self.client.get_runtime("no-such-runtime"),
            "wait": lambda: self.wait("no-such-job"),
            "polling": lambda: self.client.wait_for_job_status("no-such-job", timeout=1, polling_interval=2),
        }.items():
            try:
                call()
            except ValueError as error:
                seen[name] = str(error)
        return seen

    def runtimes(self):
        runtimes = {runtime.name: runtime for runtime in self.client.list_runtimes()}
        one = self.client.get_runtime("plain-http")
        return {
            "names": sorted(runtimes),
            "file": runtimes["plain-file"].trainer.image,
            "http": [one.name, one.trainer.num_nodes, one.trainer.framework, one.trainer.trainer_type.value],
            "fallback": runtimes["torch-distributed"].trainer.image,
        }

    def initializers(self):
        initializer = self.api.Initializer(
            dataset=self.api.HuggingFaceDatasetInitializer(
                storage_uri="hf://some/data", ignore_patterns=["*.a", "*.b"]
            ),
            model=self.api.HuggingFaceModelInitializer(storage_uri="hf://some/model", access_token="secret"),
        )
        return self.finish(self.start("init", read_dataset, initializer=initializer))

    def failing_initializer(self):
        initializer = self.api.Initializer(
            dataset=self.api.HuggingFaceDatasetInitializer(storage_uri="hf://missing/data")
        )
        name = ""
        try:
            name = self.start("noinit", read_dataset, initializer=initializer)
            self.wait(name)
        except RuntimeError as error:
            return {"message": str(error)}
        finally:
            if name:
                self.client.delete_job(name)

    def runtime_packages(self):
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.client.get_runtime_packages(self.client.get_runtime("plain-file"))
        return {"printed": output.getvalue()}


def main():
    package, engine, url, folder, *chosen = sys.argv[1:]
    scenarios = Scenarios(package, engine, url, folder)
    names = chosen or [n for n in vars(Scenarios) if not n.startswith("_") and n not in HELPERS]
    results = {}
    for name in names:
        started = time.monotonic()
        try:
            results[name] = getattr(scenarios, name)()
        except Exception as error:  # noqa: BLE001  (in the result)
            results[name] = {"raised": f"{type(error).__name__}: {error}"}
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    print("RESULTS " + json.dumps(results))


HELPERS = {"client_with", "start", "wait", "finish", "log"}

if __name__ == "__main__":
    main()
