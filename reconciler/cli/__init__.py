"""The command line, ``reconciler COMMAND``.

- :mod:`~reconciler.cli.main`: the list of commands, and how a failure becomes a sentence and an exit status.
- :mod:`~reconciler.cli.commands`: one file a command, with its arguments, help and exit status.
- :mod:`~reconciler.cli.output`: what is printed: one file a table of ``get``, colours, JSON, live progress.
- :mod:`~reconciler.cli.doctor`: the checks of ``doctor``.
- :mod:`~reconciler.cli.service`: the systemd user service.
- beside them what several commands share: click options, manifests named as arguments, jobs by name.

Only ``reconciler.__main__`` and the script's entry point import this package. It imports any other package,
but those that are slow to import (rich, pydantic, the engines' clients) within the functions that need them.
"""
