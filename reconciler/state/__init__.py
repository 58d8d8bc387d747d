"""What outlives containers: records, status sidecars, and the locks that keep a folder to one daemon.

What belongs here: data that a restarted daemon must find again, and the only code that writes it.

* :mod:`~reconciler.state.state_store` is the entrance for the controller: it loads and saves records and
  writes the sidecars that show them.
* :mod:`~reconciler.state.record` has a job's record, :mod:`~reconciler.state.record_events` the events in it
  and how many are kept (``EVENTS_KEPT``), :mod:`~reconciler.state.record_store` its file,
  :mod:`~reconciler.state.recovery.record_recovery` how a lost one is made from the sidecar.
* :mod:`~reconciler.state.sidecar_files` says where sidecars are, :mod:`~reconciler.state.sidecar_writer`
  writes them, :mod:`~reconciler.state.sidecar_reader` reads them for commands and clients,
  :mod:`~reconciler.state.status_documents` has the documents that need no engine,
  :mod:`~reconciler.state.phases` the phases and :mod:`~reconciler.state.timestamps` the format of times.
* :mod:`~reconciler.state.kept_logs.log_paths` says where kept logs are.
* :mod:`~reconciler.state.atomic_files`, :mod:`~reconciler.state.state_directory` and
  :mod:`~reconciler.state.locks` are the tools for files of this project's own.

Import from the modules; this package exports nothing. It must never import engines, sources, the server, the
controller, the client or the command line: records and sidecars are read without any of them.
"""
