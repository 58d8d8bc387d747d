"""Helpers that at least two layers use: durations, mappings, sanitized text, liveness, socket peers, YAML.

What belongs here: functions without a subject of this project, on the standard library alone. A helper with
one user stands beside that user. Import the modules, not this package.

Never imports: any other package of ``reconciler``.
"""
