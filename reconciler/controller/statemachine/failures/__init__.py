"""Failures: what a container's exit, a deadline, or a job that prints nothing any more, leads to. Pure.

Public: :func:`restart_policy.apply_restart_policy` (batch/v1's level: retries inside a step),
:func:`failure_policy.apply_failure_policy` (JobSet's level: a step that has finally failed),
:func:`stall_detection.detect_stall`, those of :mod:`deadlines`, and :class:`step_failure.StepFailure`, which
they hand on to each other.
The two policies never import each other: ``decide`` applies them one after the other.
"""
