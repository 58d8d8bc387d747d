"""Status: what users see of jobs and manifests.

Public: :func:`.status_builder.build_status` (record, plan and observation -> ``TrainJobStatus``; pure) and
:class:`.manifest_status.ManifestStatusWriter` (manifests that are no TrainJob's, and those that went).
Imports the state machine and the state store; never the executor, the scheduler or an engine.
"""
