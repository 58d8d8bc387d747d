"""The Kubernetes, JobSet and Trainer types that manifests may hold, as frozen pydantic models.

One module for each type and the types that only it uses, those of the core API group in
:mod:`~reconciler.api.models.core`. Docstrings and field names go into ``crds/`` and the reference. A model
checks what upstream's CRD checks; other rules are in :mod:`reconciler.api.validation`, which nothing here
imports.
"""
