"""Runs Kubeflow TrainJob manifests from a folder as containers on Podman or Docker, and keeps them so."""

__version__ = "0.1.0"
