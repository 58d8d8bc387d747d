"""Types of the core API group (``v1``): pods and all in their templates, Secrets, ConfigMaps, claims.

Imported by the other models and by validation. Imports :mod:`~reconciler.api.models.base` and
:mod:`~reconciler.api.models.metadata`, never the types above them (JobSets, runtimes, TrainJobs).
"""
