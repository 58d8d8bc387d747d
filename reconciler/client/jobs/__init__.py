"""Jobs as client and command line read them: manifests, sidecars and kept logs; nothing is written here.

The command line's readers live here because ``TrainerClient`` reads the same files:

* ``reconciler get``, ``describe``, ``wait`` and shell completion:
  :mod:`~reconciler.client.jobs.job_snapshots`.
* ``get --watch`` and ``wait``: :mod:`~reconciler.client.jobs.folder_watcher` wakes them at a change.
* ``reconciler logs`` (its loop is :mod:`reconciler.cli.commands.logs`):
  :mod:`~reconciler.client.jobs.log_selection` decides which files, :mod:`~reconciler.client.jobs.file_tail`
  reads them; :mod:`~reconciler.client.jobs.log_lines` is the client's ``get_job_logs()``.
* the progress column and bar: :mod:`~reconciler.client.jobs.progress_display`.
* for the client alone: :mod:`~reconciler.client.jobs.trainjob_objects` (``TrainJob`` and ``Event`` objects),
  :mod:`~reconciler.client.jobs.job_wait` (``wait_for_job_status()``).

Import from the modules. Never imports :mod:`reconciler.client.manifests`, :mod:`reconciler.client.embedded`
or the command line. ``reconciler --help`` must not pay for these modules: what takes time is imported in
functions.
"""
