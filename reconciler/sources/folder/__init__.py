"""The folder of manifests: which files there are, what they say, and what of that is in force.

* :mod:`~reconciler.sources.folder.folder_source` scans the folder (``FolderSource(root).scan() -> Catalog``)
  and watches it.
* :mod:`~reconciler.sources.folder.catalog` has the result's types.
* :mod:`~reconciler.sources.folder.manifest_files` says which files are manifests,
  :mod:`~reconciler.sources.folder.manifest_reader` reads one,
  :mod:`~reconciler.sources.folder.secret_data` decodes Secrets and ConfigMaps.
* :mod:`~reconciler.sources.folder.grace_periods` says how long a vanished or half-written manifest is waited
  for, :mod:`~reconciler.sources.folder.last_good` which version of an object is in force.
* :mod:`~reconciler.sources.folder.file_watcher` reports changes.

Import from the modules; this package exports nothing. It must not import :mod:`reconciler.sources.git` or
:mod:`reconciler.sources.runtimes`.
"""
