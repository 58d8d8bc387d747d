"""The commands: ``NAME`` is the click command in ``NAME.py``; its summary stands in ``main.SECTIONS``.

Those that edit manifests are in :mod:`~reconciler.cli.commands.edits`. A command's file has its arguments,
its help, what it does and its exit status. The columns of its tables are in :mod:`reconciler.cli.output`, the
checks of ``doctor`` in :mod:`reconciler.cli.doctor`. Commands do not import one another, except ``systemd``,
which parses the options of ``run``.
"""
