"""Small helpers that at least two layers use: durations, sanitized text, liveness, socket peers, YAML errors.

What belongs here: functions without a subject of this project, on the standard library alone. A helper with
one user stands beside that user. Import the modules, not this package.

Never imports: any other package of ``reconciler``.
"""
