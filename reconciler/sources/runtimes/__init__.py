"""Runtimes from outside the folder: remote sources (``--runtime-source``) and those built in.

* :mod:`~reconciler.sources.runtimes.available_runtimes` has all of them, and the thread that refreshes them.
* :mod:`~reconciler.sources.runtimes.remote_runtimes` reads GitHub, URLs, files and folders,
  :mod:`~reconciler.sources.runtimes.http_cache` fetches over HTTP through a cache.
* :mod:`~reconciler.sources.runtimes.builtin_runtimes` has the runtimes that come with this project.

Import from the modules; this package exports nothing. It must not import :mod:`reconciler.sources.git`.
"""
