"""What starting a job costs, beside the bare engine and beside the kubeflow SDK's container backend."""
