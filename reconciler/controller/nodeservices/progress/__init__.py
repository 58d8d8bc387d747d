"""Progress that trainings report: upstream's status endpoint, served by the daemon.

``progress_handler`` answers requests, with ``report_payload`` (what a report may say; pure) and
``progress_tokens`` (which job a request belongs to). ``progress_reports`` keeps each job's last report until
the job's next pass takes it into the record: only a pass writes records. ``progress_endpoints`` (where pods
report to), ``progress_listeners``, ``rootless_listeners`` and ``bridge_discovery`` open an address per
network; ``token_renewal`` keeps the mounted tokens fresh. ``progress_service`` wires these.

The controller imports ``ProgressService``, ``ProgressReports`` and ``ProgressEndpoints``. Nothing here
imports the reconciler or the executor, or writes a record.
"""
