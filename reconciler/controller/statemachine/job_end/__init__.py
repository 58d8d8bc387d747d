"""When a job has succeeded, and when its end is told. Pure.

:mod:`~.success_policy` decides when steps and job are complete, :mod:`~.kept_logs` when an end can be told.
How jobs fail is a matter of :mod:`reconciler.controller.statemachine.failures`, which nothing here imports.
"""
