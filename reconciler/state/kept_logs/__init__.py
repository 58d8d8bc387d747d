"""Where kept logs lie, and whose they are.

:mod:`~reconciler.state.kept_logs.log_paths` builds every path, :mod:`~reconciler.state.kept_logs.log_folders`
keeps a job's folder to one object. The log collector writes the files, commands and clients read them.
Import from the modules. Nothing here imports records or sidecars.
"""
