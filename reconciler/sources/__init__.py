"""Where manifests and runtimes come from.

* :mod:`reconciler.sources.folder`: the folder of manifests, scanned and watched: a ``Catalog``.
* :mod:`reconciler.sources.git`: a git repository that is checked out into such a folder.
* :mod:`reconciler.sources.runtimes`: runtimes from elsewhere (GitHub, a URL, a file) and the built-in ones.

Import from the modules; this package exports nothing. It reads manifests with :mod:`reconciler.api`, and must
never import engines, the controller, the server, the client or the command line.
"""
