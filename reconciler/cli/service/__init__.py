"""The systemd user service: its unit files, and the programs that manage it; used by ``reconciler systemd``.

Never imports :mod:`reconciler.cli.commands` or :mod:`reconciler.cli.doctor`.
"""
