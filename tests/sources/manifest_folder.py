"""A folder of manifests and its source, on a clock that the tests set."""

import os
from pathlib import Path

from reconciler.sources.folder.folder_source import FolderSource

RUNTIME = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata:
  name: {name}
spec:
  template:
    spec:
      replicatedJobs:
        - name: node
          template:
            metadata:
              labels:
                trainer.kubeflow.org/trainjob-ancestor-step: trainer
            spec:
              template:
                spec:
                  containers:
                    - name: node
                      image: {image}
"""
JOB = """\
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: {name}
spec:
  runtimeRef:
    name: {runtime}
  trainer:
    numNodes: {nodes}
"""


def job(name="demo", *, runtime="plain", nodes=1):
    return JOB.format(name=name, runtime=runtime, nodes=nodes)


def runtime(name="plain", *, image="busybox"):
    return RUNTIME.format(name=name, image=image)


class Clock:
    """A clock that tests set; files written by :class:`Folder` carry its time."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Folder:
    """A folder of manifests and its source."""

    def __init__(self, root: Path, **options):
        self.root = root
        root.mkdir(exist_ok=True)
        self.clock = Clock()
        self.source = FolderSource(root, clock=self.clock, **options)

    def write(self, name, text, *, age=60.0):
        """Write a file whose last change is ``age`` seconds ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (self.clock.now - age, self.clock.now - age))
        return path

    def scan(self, *, later=0.0, grace=True):
        self.clock.now += later
        return self.source.scan(grace=grace)


def nodes(entry):
    return entry.document.raw["spec"]["trainer"]["numNodes"]


def messages(faults):
    return " | ".join(str(fault) for fault in faults)
