"""The checks of ``reconciler doctor``: one family of checks a file; their order is in ``check_list.py``.

A check looks at one thing, changes nothing that stays, and says how to fix what is wrong. Facts about the
machine come in through :class:`reconciler.cli.machine.Machine`. Never imports :mod:`reconciler.cli.commands`.
"""
