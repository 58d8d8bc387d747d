"""A git repository as the source of a folder: fetched, verified, checked out, and put in force as a whole.

* :mod:`~reconciler.sources.git.git_sync` is the thread that syncs from time to time,
  :mod:`~reconciler.sources.git.git_source` one sync.
* :mod:`~reconciler.sources.git.mirror` has the bare copy of the repository,
  :mod:`~reconciler.sources.git.checkout` the folders with a commit's manifests and the link to the one in
  force, :mod:`~reconciler.sources.git.commit_signatures` who may have signed a commit.
* :mod:`~reconciler.sources.git.git_command` runs git, :mod:`~reconciler.sources.git.git_errors` explains what
  it says, :mod:`~reconciler.sources.git.git_version` says which versions will do,
  :mod:`~reconciler.sources.git.git_credentials` has tokens and keys.
* :mod:`~reconciler.sources.git.repository_status` writes ``git-repository.status.yaml``.

Import from the modules; this package exports nothing. It reads a checkout with
:mod:`reconciler.sources.folder` and must not import :mod:`reconciler.sources.runtimes`.
"""
